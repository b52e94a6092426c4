"""An agent that asks the model a question, its arguments, and prints the answer as it comes.

What the host fails with is raised as `Err`, and so is what fails here: the user is shown it as the reason why the agent
failed.
"""

import wit_world
from componentize_py_types import Err
from wit_world.imports import console, contexts, templates
from wit_world.imports.contexts import GenerateOptions, GenerationEvent_Finished, GenerationEvent_Output
from wit_world.imports.wasmlx_runner_types import (
    Conversation,
    Error_InvalidInput,
    Error_ModelFailed,
    FinishReason,
    Message,
    Output_Content,
    Part_Text,
    Segment,
)

TOKENS = 512
"""The most tokens of an answer."""


class WitWorld(wit_world.WitWorld):
    def run(self, args: list[str]) -> None:
        if not args:
            raise Err(Error_InvalidInput("usage: QUESTION"))
        answer(prompt(" ".join(args)))


def prompt(question: str) -> list[Segment]:
    """A conversation that is one question, as the session's template writes it."""
    message = Message(
        role="user",
        content=[Part_Text(question)],
        reasoning=None,
        tool_calls=[],
        tool_call_id=None,
        name=None,
    )
    return templates.render(
        Conversation(
            messages=[message],
            tools=[],
            documents=[],
            add_generation_prompt=True,
            options="{}",
            context=None,
        )
    )


def answer(segments: list[Segment]) -> None:
    """Prints the model's answer as it comes."""
    context = contexts.open(None)
    context.prompt(segments)
    generation = context.generate(GenerateOptions(TOKENS, stops=[], seed=None, tools=[], grammar=None))
    said = False
    while (event := generation.next()) is not None:
        match event:
            case GenerationEvent_Output(Output_Content(text)):
                said = True
                console.print(text)
            case GenerationEvent_Finished(finish):
                if not said:
                    raise Err(Error_ModelFailed("the model said nothing"))
                console.print(" [cut]\n" if finish.reason == FinishReason.LENGTH else "\n")
            # Reasoning is not for the user, and no tool was offered.

"""What lasts from turn to turn, and one turn."""

import json
from collections import deque
from typing import Self

from componentize_py_types import Err
from wit_world.exports import chat
from wit_world.exports.chat import Event, Event_Content, Event_Done, Event_Reasoning, Event_Usage
from wit_world.imports import contexts, history, templates
from wit_world.imports.contexts import (
    Context,
    Finish,
    GenerateOptions,
    Generation,
    GenerationEvent,
    GenerationEvent_Finished,
    GenerationEvent_Output,
)
from wit_world.imports.types import (
    Conversation as Prompt,
    Error_InvalidInput,
    Error_ModelFailed,
    Message,
    Output_Content,
    Output_Reasoning,
    Part_Text,
    Saved,
)


class Conversation(chat.Conversation):
    def __init__(self, options: str, generate: GenerateOptions) -> None:
        self.options = options
        self.generate = generate
        # One context serves all turns: of a prompt that begins as the last one did, the host reads only what is new.
        self.context: Context | None = None

    @classmethod
    def open(cls, config: str) -> Self:
        try:
            given = json.loads(config)
            options = json.dumps(given.get("options", {}))
            max_tokens, stops, seed = given.get("max_tokens"), given.get("stop", []), given.get("seed")
        except (ValueError, AttributeError) as error:
            raise Err(Error_InvalidInput(f"the chat's configuration cannot be used: {error}"))
        return cls(options, GenerateOptions(max_tokens, stops, seed, tools=[], grammar=None))

    def send(self) -> chat.Turn:
        prompt = templates.render(
            Prompt(
                messages=history.messages(0),
                tools=[],
                documents=[],
                add_generation_prompt=True,
                options=self.options,
                context=None,
            )
        )
        if self.context is None:
            self.context = contexts.open(None)
        self.context.prompt(prompt)
        return Turn(self.context.generate(self.generate))

    def save(self) -> Saved:
        """There is nothing to save: the host keeps the history."""
        return Saved(1, b"")

    @classmethod
    def restore(cls, config: str, saved: Saved) -> Self:
        if saved.version != 1:
            raise Err(Error_InvalidInput(f"this chat reads saved states of version 1, not {saved.version}"))
        return cls.open(config)


class Turn(chat.Turn):
    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.content = ""
        self.reasoning = ""
        self.events: deque[Event] = deque()
        """Events that have happened and were not fetched yet."""
        self.over = False

    def next(self) -> Event | None:
        batch = self.next_batch(1)
        return batch[0] if batch else None

    def next_batch(self, max: int) -> list[Event]:
        if max == 0:
            raise Err(Error_InvalidInput("a batch has at least one event: none is the end"))
        while not self.events and not self.over:
            batch = self.generation.next_batch(max)
            if not batch:
                raise Err(Error_ModelFailed("the answer broke off without a reason"))
            for event in batch:
                self.take(event)
        count = max if max < len(self.events) else len(self.events)
        return [self.events.popleft() for _ in range(count)]

    def take(self, event: GenerationEvent) -> None:
        match event:
            case GenerationEvent_Output(Output_Content(text)):
                self.content += text
                self.events.append(Event_Content(text))
            case GenerationEvent_Output(Output_Reasoning(text)):
                self.reasoning += text
                self.events.append(Event_Reasoning(text))
            case GenerationEvent_Finished(finish):
                self.finish(finish)
            # No tool was offered: what looks like a call of one is nothing to act on.

    def finish(self, finish: Finish) -> None:
        """The answer is complete, or as complete as it gets: a cut one belongs in the history too."""
        history.append(
            Message(
                role="assistant",
                content=[Part_Text(self.content)] if self.content else [],
                reasoning=self.reasoning or None,
                tool_calls=[],
                tool_call_id=None,
                name=None,
            )
        )
        self.events += [Event_Usage(finish.usage), Event_Done(finish.reason)]
        self.over = True
        # It is given back now, not when Python comes to it: the context takes one generation at a time.
        self.generation.__exit__(None, None, None)

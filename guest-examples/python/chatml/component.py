"""ChatML: each message between `<|im_start|>` and `<|im_end|>`, with tools as Hermes describes and calls them.

An interface is a class of its name in this module, and its resources are classes in a module of its name: the parser
of answers is in template.py.
"""

import json

from componentize_py_types import Err
from prompt import Prompt
from wit_world import exports
from wit_world.imports.types import Conversation, Error_InvalidInput, Message, Segment, Tool, ToolCall

START = "<|im_start|>"
END = "<|im_end|>"

BEFORE_TOOLS = "You may call tools. The tools are:\n<tools>\n"
AFTER_TOOLS = (
    '</tools>\nTo call a tool, answer with <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call>'
)


class Template(exports.Template):
    def configure(self, config: str) -> None:
        """This template asks nothing of its configuration."""

    def render(self, conversation: Conversation) -> list[Segment]:
        if conversation.context is not None:
            raise invalid("this template takes no raw context: use the model's own, by the jinja template")
        if conversation.documents:
            raise invalid("this template takes no documents: use the model's own, by the jinja template")
        prompt = Prompt()
        messages = conversation.messages
        system = ""
        if messages and messages[0].role == "system":
            system = content(messages[0])
            messages = messages[1:]
        if system or conversation.tools:
            prompt.control(START)
            prompt.trusted("system\n")
            prompt.untrusted(system)
            if conversation.tools:
                prompt.trusted("\n\n" if system else "")
                describe_tools(prompt, conversation.tools)
            end(prompt)
        for message in messages:
            prompt.control(START)
            prompt.untrusted(message.role)
            prompt.trusted("\n")
            prompt.untrusted(content(message))
            if message.role == "assistant":
                for call in message.tool_calls:
                    write_call(prompt, call)
            end(prompt)
        if conversation.add_generation_prompt:
            prompt.control(START)
            prompt.trusted("assistant\n")
        return prompt.segments

    def stops(self) -> list[str]:
        return [END]


def end(prompt: Prompt) -> None:
    prompt.control(END)
    prompt.trusted("\n")


def content(message: Message) -> str:
    return "".join(part.value for part in message.content)


def describe_tools(prompt: Prompt, tools: list[Tool]) -> None:
    prompt.trusted(BEFORE_TOOLS)
    for tool in tools:
        try:
            parameters = json.loads(tool.parameters or "{}")
        except ValueError as error:
            raise invalid(f"the parameters of tool `{tool.name}` are not JSON: {error}")
        function = {"name": tool.name, "description": tool.description, "parameters": parameters}
        prompt.untrusted(json.dumps({"type": "function", "function": function}, ensure_ascii=False))
        prompt.trusted("\n")
    prompt.trusted(AFTER_TOOLS)


def write_call(prompt: Prompt, call: ToolCall) -> None:
    prompt.trusted('<tool_call>{"name": "')
    prompt.untrusted(call.name)
    prompt.trusted('", "arguments": ')
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        # What a model wrote need not be JSON; then it is the text itself.
        arguments = call.arguments
    prompt.untrusted(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
    prompt.trusted("}</tool_call>")


def invalid(sentence: str) -> Err:
    return Err(Error_InvalidInput(sentence))

"""Reads a model's answer as it streams in: what is content, what is reasoning, what is a call of a tool.

Text is said as soon as it is certain. Held back are what may still become a marker, white space that a marker may
follow, and a call until its closing tag.
"""

import json
from collections.abc import Callable

from wit_world.exports import template
from wit_world.imports.types import (
    AnswerContext,
    Output,
    Output_Content,
    Output_Reasoning,
    Output_ToolCallArguments,
    Output_ToolCallEnd,
    Output_ToolCallStart,
)

THINK, THINK_END = "<think>", "</think>"
CALL, CALL_END = "<tool_call>", "</tool_call>"


class Parser(template.Parser):
    def __init__(self, answer: AnswerContext) -> None:
        self.tools = bool(answer.tools)
        """Whether the model was offered tools. Where it was not, nothing is a call."""
        self.pending = ""
        """Text that is not understood yet."""
        self.space = ""
        """White space that is said only if more of the same part follows it."""
        self.after_marker = False
        """Whether white space at the start of what follows is left out, since a marker stands before it."""
        self.state: Callable[[], bool] = self.start
        """Understands some of the pending text, and returns whether there may be more to understand."""
        self.outputs: list[Output] = []
        if answer.prompt_end.rstrip().endswith(THINK):
            self.pass_marker(self.reasoning)

    def push(self, text: str) -> list[Output]:
        self.pending += text
        while self.state():
            pass
        return self.take()

    def finish(self) -> list[Output]:
        if self.state == self.call:
            # It never ended, so it was none.
            self.state = self.content
            self.say(CALL)
        self.say(self.pending)
        self.pending = ""
        if self.state != self.reasoning and not self.after_marker and self.space:
            self.outputs.append(Output_Content(self.space))
            self.space = ""
        return self.take()

    def take(self) -> list[Output]:
        outputs, self.outputs = self.outputs, []
        return outputs

    def start(self) -> bool:
        """Before anything but white space."""
        text = self.pending.lstrip()
        if text.startswith(THINK):
            self.pending = text.removeprefix(THINK)
            self.pass_marker(self.reasoning)
        elif THINK.startswith(text):
            return False
        else:
            self.state = self.content
        return True

    def reasoning(self) -> bool:
        if not self.say_until(THINK_END):
            return False
        self.pass_marker(self.content)
        return True

    def content(self) -> bool:
        if not self.tools:
            self.say(self.pending)
            self.pending = ""
            return False
        if not self.say_until(CALL):
            return False
        self.state = self.call
        return True

    def call(self) -> bool:
        written, end, rest = self.pending.partition(CALL_END)
        if not end:
            return False
        self.pending = rest
        self.state = self.content
        try:
            call = json.loads(written)
            name, arguments = call["name"], call.get("arguments", {})
        except (ValueError, TypeError, KeyError, AttributeError):
            self.say(CALL + written + CALL_END)
            return True
        # Some models write the arguments as a string that holds JSON.
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        self.outputs += [Output_ToolCallStart(str(name)), Output_ToolCallArguments(text), Output_ToolCallEnd()]
        self.pass_marker(self.content)
        return True

    def pass_marker(self, state: Callable[[], bool]) -> None:
        """White space around a marker counts for nothing."""
        self.state = state
        self.space = ""
        self.after_marker = True

    def say_until(self, marker: str) -> bool:
        """Says what stands before a marker and passes it, if it is there; else says what is certain."""
        text, found, rest = self.pending.partition(marker)
        if not found:
            beginnings = (marker[:length] for length in range(len(marker) - 1, 0, -1))
            rest = next((beginning for beginning in beginnings if text.endswith(beginning)), "")
            text = text.removesuffix(rest)
        self.pending = rest
        self.say(text)
        return bool(found)

    def say(self, text: str) -> None:
        """Says a text, but for white space at its end; what was held back of such before comes first."""
        kept = text.rstrip()
        if kept:
            said = kept.lstrip() if self.after_marker else self.space + kept
            self.outputs.append(Output_Reasoning(said) if self.state == self.reasoning else Output_Content(said))
            self.space = ""
            self.after_marker = False
        self.space += text[len(kept) :]

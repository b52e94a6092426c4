"""A prompt while it is written."""

from wit_world.imports.types import Segment, Segment_Control, Segment_Trusted, Segment_Untrusted


class Prompt:
    """Segments, in which neighbours of one kind are joined and nothing is empty."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []

    def control(self, name: str) -> None:
        """A special token, by its name."""
        self.segments.append(Segment_Control(name))

    def trusted(self, text: str) -> None:
        """The template's own text."""
        self._add(Segment_Trusted(text))

    def untrusted(self, text: str) -> None:
        """Text that a caller supplied: a marker written in it stays text."""
        self._add(Segment_Untrusted(text))

    def _add(self, segment: Segment) -> None:
        if self.segments and type(self.segments[-1]) is type(segment):
            self.segments[-1].value += segment.value
        elif segment.value:
            self.segments.append(segment)

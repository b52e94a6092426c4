"""One request's policy.

Each call on the logits only adds to what the device will compute. Nothing is read, so `step` is over before the device
has the scores. An error that a call raises is the error of `step`.
"""

from typing import Self

from componentize_py_types import Err
from parameters import Parameters, parse
from wit_world.exports import policy
from wit_world.exports.policy import Choice, Choice_Token, StepInfo
from wit_world.imports.logits import Logits
from wit_world.imports.types import Error_InvalidInput, Saved


class Policy(policy.Policy):
    def __init__(self, known: Parameters) -> None:
        self.parameters = known

    @classmethod
    def open(cls, params: str) -> Self:
        return cls(parse(params))

    def max_backtrack(self) -> int:
        return 0

    def step(self, info: StepInfo, logits: Logits) -> Choice:
        # A handle is given back at the end of its `with`, not when Python comes to it.
        with logits:
            logits.min_p(self.parameters.min_p, 1)
            if self.parameters.temperature == 0:
                return Choice_Token(logits.argmax())
            logits.scale(1 / self.parameters.temperature)
            return Choice_Token(logits.sample())

    def save(self) -> Saved:
        """There is nothing to save: all that a request knows is its parameters, which `restore` is given again."""
        return Saved(1, b"")

    @classmethod
    def restore(cls, params: str, saved: Saved) -> Self:
        if saved.version != 1:
            raise Err(Error_InvalidInput(f"min-p reads saved states of version 1, not {saved.version}"))
        return cls.open(params)

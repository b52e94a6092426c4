"""What the policy can be told."""

import json
from dataclasses import dataclass

from componentize_py_types import Err
from wit_world.imports.types import Error_InvalidInput

MOST = {"min_p": 1, "temperature": 100}


@dataclass
class Parameters:
    min_p: float = 0.1
    """A token stays if it is at least so many times as likely as the best: 0 to 1."""
    temperature: float = 1
    """The scores of those that stay are divided by it; 0 takes the best token."""


def parse(params: str) -> Parameters:
    """Reads a JSON object such as `{"min_p": 0.1, "temperature": 0.8}`.

    Raises an `Err` of invalid input that names the parameter that is wrong."""
    try:
        fields = json.loads(params)
    except ValueError as error:
        raise invalid(f"the parameters must be a JSON object: {error}")
    if not isinstance(fields, dict):
        raise invalid("the parameters must be a JSON object")
    for name, value in fields.items():
        if name not in MOST:
            raise invalid(f"`{name}` is not a parameter of this policy; it has min_p and temperature")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= MOST[name]:
            raise invalid(f"`{name}` must be a number from 0 to {MOST[name]}, not {json.dumps(value)}")
    return Parameters(**fields)


def invalid(sentence: str) -> Err:
    return Err(Error_InvalidInput(sentence))

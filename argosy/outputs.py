"""`Outputs(...)`: a result type written in place, for steps too small for a class of their own."""

from typing import Any, NamedTuple


def Outputs(**fields: Any) -> Any:
    """A NamedTuple type with these fields: `def step() -> Outputs(result=str): ...`.

    A type checker cannot look into it; where types are checked, declare `class Result(NamedTuple)`.
    """
    return NamedTuple("Outputs", list(fields.items()))

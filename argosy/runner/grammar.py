"""Where a text stopped being readable, in words."""

from __future__ import annotations

from lark.exceptions import UnexpectedInput, UnexpectedToken


def place_of(error: UnexpectedInput) -> str:
    """`at character 7`, or `at its end`."""
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return "at its end"
    return f"at character {error.column}"

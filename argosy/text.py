"""Small help with words, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[object]) -> str:
    """`; did you mean 'epochs'?` for the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, [str(k) for k in known], n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """As `nearest`, or the list of what there is, or nothing."""
    names = list(known)
    return nearest(name, names) or (f"; there is: {', '.join(names)}" if names else "")


def one_line(text: str, longest: int = 300) -> str:
    """A text as one line of a terminal: without line breaks, and cut where it is long."""
    if len(text) > longest:
        text = f"{text[:longest]}... ({len(text)} characters)"
    return " ".join(text.splitlines())

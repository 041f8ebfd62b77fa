"""Small help with words, for messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_MANY = 60


def closest(name: str, known: Iterable[object], cutoff: float = 0.6) -> str:
    """The known name most like `name`, or the empty string; in bounded time, however many there are."""
    names = [str(k) for k in known]
    alike = sorted(k for k in names if _is_alike(k, name))[:_MANY]
    for candidates in (alike, names if len(names) <= _MANY else []):
        if found := difflib.get_close_matches(name[:100], candidates, 1, cutoff):
            return found[0]
    return ""


def _is_alike(one: str, other: str) -> bool:
    same_end = one[:1] == other[:1] or one[-1:] == other[-1:]
    return same_end and abs(len(one) - len(other)) <= 3


def nearest(name: str, known: Iterable[object]) -> str:
    """`; did you mean 'epochs'?` for the nearest known name, or nothing."""
    close = closest(name, known)
    return f"; did you mean '{close}'?" if close else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """As `nearest`, or the list of what there is, or nothing."""
    names = list(known)
    return nearest(name, names) or (f"; there is: {', '.join(names)}" if names else "")


def remedy(name: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """`Did you mean 'epochs'?` for the nearest known name, or `otherwise`: a finding's second sentence."""
    close = closest(name, known, cutoff)
    return f"Did you mean '{close}'?" if close else otherwise


def one_line(text: str, longest: int = 300) -> str:
    """A text as one line of a terminal: without line breaks, cut where it is long, and nothing but shown."""
    if len(text) > longest:
        text = f"{text[:longest]}... ({len(text)} characters)"
    return visible(" ".join(text.splitlines()).expandtabs(1))


def visible(text: str) -> str:
    """A text with signs in place of what a terminal obeys: control characters, and orders to turn around."""
    return text if text.isprintable() else _OBEYED.sub(_sign, text)


_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_DELETE, _PICTURES = 0x7F, 0x2400


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == _DELETE:
        return "\u2421"
    return chr(_PICTURES + code) if code < ord(" ") else "\ufffd"

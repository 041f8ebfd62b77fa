"""Did you mean ...? In bounded time, however many names there are."""

import difflib
from collections.abc import Iterable

_CANDIDATES = 60


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known name that is most like `name`, or the empty string."""
    alike = [k for k in known if abs(len(k) - len(name)) <= 3 and (k[:1] == name[:1] or k[-1:] == name[-1:])]
    found = difflib.get_close_matches(name[:100], sorted(alike)[:_CANDIDATES], 1, cutoff)
    return found[0] if found else ""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """A hint that names the nearest known name; `otherwise` if there is none."""
    near = nearest(name, known, cutoff)
    return f"Did you mean '{near}'?" if near else otherwise

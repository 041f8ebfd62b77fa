"""Progress that a step prints: `progress: 45%`, `progress: 9/20 text`, or a line of tqdm's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.text import Text

_OURS = re.compile(r"progress:\s*(?:(\d+(?:\.\d+)?)\s*%|(\d+)\s*/\s*(\d+))\s*(.*)", re.IGNORECASE)
_TQDM = re.compile(r"(?:(.*?):\s*)?\s*(\d{1,3})%\|[^|]*\|\s*(.*)")
_WIDTH = 16


@dataclass(frozen=True)
class Progress:
    """How far a step is: `share` from 0 to 1, and what it says beside."""

    share: float
    text: str

    def bar(self) -> Text:
        """A bar, the share in percent, and the text."""
        full = round(self.share * _WIDTH)
        parts = [("━" * full, "cyan"), ("━" * (_WIDTH - full), "dim"), (f" {self.share:4.0%}", "")]
        return Text.assemble(*parts, (f"  {self.text}" if self.text else "", "dim"))


def read_progress(line: str) -> Progress | None:
    """What a line says of progress, if it does."""
    if match := _OURS.fullmatch(line.strip()):
        percent, done, of, text = match.groups()
        share = float(percent) / 100 if percent else int(done) / max(1, int(of))
        counted = f"{done}/{of} {text}".strip() if done else text
        return Progress(min(1.0, share), counted.strip())
    if match := _TQDM.fullmatch(line.rstrip()):
        title, percent, rest = match.groups()
        return Progress(min(1.0, int(percent) / 100), " ".join(p for p in (title, rest) if p).strip())
    return None

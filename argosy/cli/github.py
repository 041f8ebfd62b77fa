"""Messages as GitHub's workflow commands: an annotation on the line that they name."""

import re

_PLACED = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+): (?P<text>.*)", re.S)


def _escaped(text: str) -> str:
    # https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def annotation(message: str, *, file: str | None = None, line: int | None = None) -> str:
    """`::error` for a message; a message that begins with `file:line:` is put there."""
    placed = _PLACED.fullmatch(message)
    if placed and file is None:
        file, line, message = placed["file"], int(placed["line"]), placed["text"]
    place = ",".join(f"{k}={_escaped(str(v))}" for k, v in (("file", file), ("line", line)) if v is not None)
    return f"::error {place}{',' if place else ''}title=argosy::{_escaped(message)}"

"""`# argosy: ignore[ARG701]`: silencing a finding where it is, with a comment."""

import re
from bisect import bisect_left

_COMMENT = re.compile(r"(?:^|\s)#\s*argosy:\s*(ignore(?:-file)?)(?:\[([A-Z0-9,\s]*)\])?")
_ALONE = re.compile(r"\s*#")


class Silence:
    """The comments of one file.

    A comment at the end of a line covers that line; on a line of its own the next line that is not a comment;
    `ignore-file` the whole file. Without brackets it covers all rules. A code's beginning covers the family.
    """

    def __init__(self, text: str) -> None:
        self._file: list[str] = []
        self._lines: dict[int, list[str]] = {}
        if "argosy:" in text:
            self._scan(text.splitlines())

    def _scan(self, lines: list[str]) -> None:
        code_lines = [i for i, line in enumerate(lines, 1) if line.strip() and not _ALONE.match(line)]
        for number, line in enumerate(lines, 1):
            match = _COMMENT.search(line)
            if match is None:
                continue
            codes = re.findall(r"[A-Z0-9]+", match[2] or "") or ["ARG"]
            if match[1] == "ignore-file":
                self._file += codes
                continue
            if _ALONE.match(line):
                after = bisect_left(code_lines, number)
                number = code_lines[after] if after < len(code_lines) else number
            self._lines.setdefault(number, []).extend(codes)

    def covers(self, code: str, line: int) -> bool:
        """True if findings of `code` on `line` are to be dropped."""
        return code.startswith((*self._file, *self._lines.get(line, ())))

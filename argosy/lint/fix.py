"""`--fix`: edits that cannot change what a manifest means; made on the text, so that comments stay.

Quoted: numbers and booleans in fields that are texts (ARG010), and keys that read otherwise (ARG015).
Corrected: the case of fields (ARG014). Rewritten: fields of Argo 3 to the lists that replaced them in Argo 4
(ARG006), where the value stands on the key's own line.
"""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argosy.lint.schema import Defect, check
from argosy.manifest.reading import STOPS_ARGO, Document, Source, read, unlisted
from argosy.manifest.tree import Map, Mark
from argosy.step.files import published

LISTS = {"schedule": "schedules", "mutex": "mutexes", "semaphore": "semaphores"}
_ANCHOR = r"(?:[&!]\S+[ \t]+)*"


@dataclass(frozen=True)
class Edit:
    """Replace `old` at a place by `new`; not done if `old` is not there."""

    mark: Mark
    old: str
    new: str


def fix_files(sources: Iterable[Source]) -> dict[str, int]:
    """Edit files in place; how many edits each had. A file that an edit would break is left alone."""
    done: dict[str, int] = {}
    for source in sources:
        text, count = fixed(source)
        if count and not _broken(source, text):
            _rewrite(Path(source.file).resolve(), text)
            done[source.file] = count
    return done


def _rewrite(file: Path, text: str) -> None:
    """Give a file another text; where there is no room for it, the file stays as it is. Raises OSError."""
    with published(file) as beside:
        beside.write_text(text, encoding="utf-8", newline="")
        shutil.copymode(file, beside)


def fixed(source: Source) -> tuple[str, int]:
    """The text with all safe edits, and their number."""
    lines, count = source.text.splitlines(keepends=True), 0
    edits = [e for d in unlisted(source).documents if d.is_argo for e in _edits(d, lines)]
    for edit in sorted(set(edits), key=lambda e: e.mark, reverse=True):
        row, column = edit.mark[0] - 1, edit.mark[1] - 1
        if row < len(lines) and lines[row].startswith(edit.old, column):
            lines[row] = lines[row][:column] + edit.new + lines[row][column + len(edit.old) :]
            count += 1
    return "".join(lines), count


def _edits(document: Document, lines: list[str]) -> list[Edit]:
    if any(p.code in STOPS_ARGO for p in document.problems):
        return []
    edits = [Edit(p.mark, p.written, f'"{p.written}"') for p in document.problems if p.written]
    for defect in check(document.root, document.kind):
        parent, key = _parent(document.root, defect)
        if defect.kind == "unquoted":
            edits += _quote(parent, key, defect.value, lines)
        elif defect.kind == "case":
            edits.append(Edit(parent.marks[key], defect.value, key))
        else:
            edits += _rename(parent, key, defect, lines)
    return edits


def _quote(parent: Any, key: Any, written: str, lines: list[str]) -> list[Edit]:
    mark = parent.place(key)
    word = rf"[\"']?{re.escape(written)}[\"']?|\*[^\s,\]}}]+"
    match = re.match(rf"({_ANCHOR})({word})", _rest(lines, mark))
    if not match:
        return []
    anchors = re.sub(r"!\S+[ \t]+", "", match[1])  # under `!!int` a quoted 7 would still be a number
    return [Edit(mark, match[0], f'{anchors}"{written}"')]


def _rename(parent: Any, key: Any, defect: Defect, lines: list[str]) -> list[Edit]:
    replaced = defect.kind == "unknown" and key in LISTS and LISTS[key] not in parent
    if not replaced or defect.type not in ("CronWorkflowSpec", "Synchronization"):
        return []
    start, mark = parent.marks[key], parent.value_marks[key]
    value = parent[key]
    if isinstance(value, Map) and mark[0] != start[0]:
        return [Edit(start, key, LISTS[key]), Edit(mark, "", "- "), *_shifted(lines, mark)]
    rest = _rest(lines, mark).rstrip("\r\n")
    comment = re.search(r"\s+#.*$", rest)
    old = rest[: comment.start()] if comment else rest.rstrip()
    if old.count("{") != old.count("}") or old[:1] in ("|", ">", "&", "*", ""):
        return []
    return [Edit(start, key, LISTS[key]), Edit(mark, old, f"[{old}]")]


def _shifted(lines: list[str], mark: Mark) -> list[Edit]:
    """The lines below the first of a mapping that becomes an item of a list, moved to the right."""
    edits = []
    for row in range(mark[0] + 1, len(lines) + 1):
        line = lines[row - 1]
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and indent < mark[1] - 1:
            break
        if line.strip():
            edits.append(Edit((row, 1), "", "  "))
    return edits


def _parent(root: Any, defect: Defect) -> tuple[Any, Any]:
    node = root
    for part in defect.path[:-1]:
        node = node[part]
    return node, defect.path[-1]


def _rest(lines: list[str], mark: Mark) -> str:
    return lines[mark[0] - 1][mark[1] - 1 :] if mark[0] <= len(lines) else ""


def _broken(source: Source, text: str) -> bool:
    """True if the edited text can no longer be read, or has other documents."""
    again, source = unlisted(read(source.file, text.encode())), unlisted(source)
    problems = [p for d in again.documents for p in d.problems if p.code in STOPS_ARGO]
    return bool(problems) or [d.kind for d in again.documents] != [d.kind for d in source.documents]

"""The placeholders of a v2 command line: `{{$.inputs.parameters['epochs']}}`, `{"IfPresent": ...}`."""

import json
import re
from typing import Any

from argosy.reuse.kfp_ports import Ports
from argosy.reuse.words import Concat, IfPresent, Tag, Word
from argosy.step.interface import Port

_TAG = re.compile(r"\{\{\s*\$(?P<path>.*?)\}\}", re.S)
_PORT = re.compile(
    r"\.(?P<way>inputs|outputs)\.(?P<kind>parameters|artifacts)\[(?P<quote>['\"])(?P<name>.*?)(?P=quote)\]"
    r"(?:\.(?P<field>\w+))?"
)
_WORKFLOW = {
    ".pipeline_job_name": "{{workflow.name}}",
    ".pipeline_job_resource_name": "{{workflow.name}}",
    ".pipeline_job_uuid": "{{workflow.uid}}",
    ".pipeline_task_uuid": "{{pod.name}}",
}
# Which field of which port stands for a value or a path. Argo moves the files itself: a place to read
# from or to write to is a path, also where a URI is wanted.
_FIELDS = {
    ("inputs", "parameters"): (None,),
    ("inputs", "artifacts"): ("path", "uri"),
    ("outputs", "parameters"): ("output_file",),
    ("outputs", "artifacts"): ("path", "uri"),
}


def read_words(ports: Ports, entries: Any, lines: list[int] | int) -> tuple[Word, ...]:
    """The words of a list; `lines` has a line for each, or one for all."""
    if not isinstance(entries, list):
        entries = [entries]
    where = [lines] * len(entries) if isinstance(lines, int) else lines
    return tuple(read_word(ports, e, line) for e, line in zip(entries, where, strict=True))


def read_word(ports: Ports, entry: Any, line: int) -> Word:
    """One word.

    Raises:
        DeclarationError: a placeholder that is unknown, or that only KFP's own runtime can fill.
    """
    structure = entry if isinstance(entry, dict) else _structure(entry)
    if structure is None:
        return _text(ports, str(entry), line)
    key, value = next(iter(structure.items()))
    if key == "Concat":
        return Concat(read_words(ports, value, line))
    port = ports.input(value.get("InputName"), line)
    then, otherwise = value.get("Then") or [], value.get("Else") or []
    return IfPresent(port.name, read_words(ports, then, line), read_words(ports, otherwise, line))


def _structure(entry: Any) -> dict[str, Any] | None:
    """A `Concat` or `IfPresent`, which v2 writes as JSON inside of a text."""
    if not isinstance(entry, str) or not entry.lstrip().startswith(('{"Concat"', '{"IfPresent"')):
        return None
    try:
        found = json.loads(entry)
    except ValueError:
        return None
    return found if isinstance(found, dict) and len(found) == 1 else None


def _text(ports: Ports, text: str, line: int) -> Word:
    items: list[Word] = []
    end = 0
    for match in _TAG.finditer(text):
        if match.start() > end:
            items.append(ports.literal(text[end : match.start()], line))
        items.append(Tag(_reference(ports, match["path"].strip(), match[0], line)))
        end = match.end()
    if end < len(text) or not items:
        items.append(ports.literal(text[end:], line))
    return items[0] if len(items) == 1 else Concat(tuple(items))


def _reference(ports: Ports, path: str, shown: str, line: int) -> str:
    if path in _WORKFLOW:
        return _WORKFLOW[path]
    if not path:
        raise ports.source.error(
            "is a lightweight Python component: it hands '{{$}}', the executor input, to KFP's own runtime; "
            "make its function an @argosy.component",
            line,
        )
    match = _PORT.fullmatch(path)
    if match is None or match["field"] not in _FIELDS[match["way"], match["kind"]]:
        raise ports.source.error(f"{shown} cannot be carried over: only KFP's own runtime provides it", line)
    find = ports.input if match["way"] == "inputs" else ports.output
    port = find(match["name"], line)
    return _argo_tag(match["way"], port)


def _argo_tag(way: str, port: Port) -> str:
    kind = "artifacts" if port.is_artifact else "parameters"
    place = "" if (way, kind) == ("inputs", "parameters") else ".path"
    return f"{{{{{way}.{kind}.{port.argo_name}{place}}}}}"

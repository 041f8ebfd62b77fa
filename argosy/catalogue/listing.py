"""Components described as plain data, and listed as text for a terminal or as Markdown for a page."""

import re
import shlex
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from argosy.catalogue.discover import Entry
from argosy.declare.component import Component
from argosy.reuse.loaded import LoadedComponent
from argosy.step.interface import Port
from argosy.step.values import ValueType
from argosy.text import one_line


def describe(entry: Entry) -> dict[str, Any]:
    """Everything that the declaration says, in Python's and in YAML's names."""
    component = entry.component
    interface = component.interface
    return {
        "name": interface.name,
        "summary": interface.summary,
        "description": interface.description,
        "import": f"from {entry.module} import {entry.name}",
        "inputs": [_described_input(p) for p in interface.inputs],
        "outputs": [_described_port(p) for p in interface.outputs],
        **_described_container(component),
    }


def _described_port(port: Port) -> dict[str, Any]:
    return {
        "name": port.argo_name,
        "python": port.name,
        "type": str(port.type),
        "artifact": port.is_artifact,
        "description": port.description,
    }


def _described_input(port: Port) -> dict[str, Any]:
    found = {**_described_port(port), "required": port.required}
    if not port.required:
        found["default"] = _described_default(port)
    return found


def _described_default(port: Port) -> str | None:
    """As text; None where the input may be left out, and whoever runs the step decides."""
    if port.default is None or not isinstance(port.type, ValueType):
        return None
    return port.default_text


def _described_container(component: Component[Any, Any]) -> dict[str, Any]:
    reference = component.template_ref
    if reference is not None:
        return {"templateRef": reference.to_dict()}
    spec = component.container
    found: dict[str, Any] = {"image": spec.image, "command": component.command}
    if isinstance(component, LoadedComponent):
        found["origin"] = component.origin
    extras = {
        "resources": spec.resources.to_dict(),
        "nodeSelector": dict(spec.node_selector),
        "tolerations": [t.to_dict() for t in spec.tolerations],
        "volumes": [{**v.to_volume(), "mountPath": v.mount_path} for v in spec.volumes],
        "env": sorted(spec.env),
        "retryStrategy": spec.retry.to_dict() if spec.retry else None,
        "activeDeadlineSeconds": spec.timeout,
    }
    return found | {key: value for key, value in extras.items() if value}


def shown_default(port: dict[str, Any]) -> str:
    """`required`, `empty`, or the default as text."""
    if port["required"]:
        return "required"
    return port["default"] or "empty"


def shown_resources(described: dict[str, Any]) -> str:
    """`CPU 250m-500m, memory 512Mi-1Gi, 1 nvidia.com/gpu`; nothing where none are asked for."""
    resources = described.get("resources", {})
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    parts = []
    for key, noun in (("cpu", "CPU"), ("memory", "memory")):
        pair = [p for p in (requests.get(key), limits.get(key)) if p]
        if pair:
            parts.append(f"{noun} {'-'.join(dict.fromkeys(pair))}")
    parts += [f"{count} {name}" for name, count in limits.items() if name not in ("cpu", "memory")]
    return ", ".join(parts)


def facts(described: dict[str, Any]) -> list[tuple[str, str]]:
    """The container's known properties, as pairs of a noun and its value."""
    pairs = [
        ("image", described.get("image", "")),
        ("command", " ".join(shlex.quote(one_line(word)) for word in described.get("command", ()))),
        ("from", described.get("origin", "")),
        ("resources", shown_resources(described)),
        ("node", _pairs(described.get("nodeSelector", {}))),
        ("tolerates", ", ".join(t["key"] for t in described.get("tolerations", ()))),
        ("volumes", ", ".join(v["mountPath"] for v in described.get("volumes", ()))),
        ("environment", ", ".join(described.get("env", ()))),
        ("retries", _retries(described.get("retryStrategy"))),
        ("timeout", _seconds(described.get("activeDeadlineSeconds"))),
        ("template", _reference(described.get("templateRef"))),
    ]
    return [(noun, value) for noun, value in pairs if value]


def _pairs(mapping: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in mapping.items())


def _retries(strategy: dict[str, Any] | None) -> str:
    return f"{strategy['limit']}, {strategy['retryPolicy']}" if strategy else ""


def _seconds(count: int | None) -> str:
    return f"{count} s" if count else ""


def _reference(reference: dict[str, Any] | None) -> str:
    return f"'{reference['template']}' of '{reference['name']}'" if reference else ""


def list_text(groups: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """One line a component, under the name of its group."""
    pairs = list(groups)
    width = max(len(d["name"]) for _, d in pairs)
    blocks = []
    for group, members in groupby(pairs, key=lambda pair: pair[0]):
        lines = [f"  {d['name']:<{width}}  {d['summary']}".rstrip() for _, d in members]
        blocks.append("\n".join([group, *lines]))
    return "\n\n".join(blocks)


def full_text(described: dict[str, Any]) -> str:
    """One component, whole."""
    blocks = [f"{described['name']}: {described['summary']}".rstrip(": ")]
    if described["description"]:
        blocks.append(described["description"])
    blocks.append(described["import"])
    inputs = [(p["name"], p["type"], shown_default(p), p["description"]) for p in described["inputs"]]
    outputs = [(p["name"], p["type"], p["description"]) for p in described["outputs"]]
    for title, rows in (("inputs", inputs), ("outputs", outputs), ("container", facts(described))):
        if rows:
            blocks.append("\n".join([title, *_columns(rows)]))
    return "\n\n".join(blocks)


def _columns(rows: list[Any]) -> list[str]:
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return [
        "  " + "  ".join([*(c.ljust(w) for c, w in zip(row[:-1], widths, strict=True)), row[-1]]).rstrip()
        for row in rows
    ]


_CODE = re.compile(r"(`[^`]*`)")


def page(groups: Iterable[tuple[str, dict[str, Any]]], command: str) -> str:
    """A table of all components, then a section each; `command` is what the page is made with."""
    pairs = list(groups)
    blocks = [f"# Components\n\nGenerated by `{command}` from the declarations; do not edit."]
    for group, members in groupby(pairs, key=lambda pair: pair[0]):
        blocks.append(f"## {group}\n\n{_index([d for _, d in members])}")
    blocks += [section(described) for _, described in pairs]
    return "\n\n".join(blocks) + "\n"


def section(described: dict[str, Any]) -> str:
    """One component."""
    blocks = [f"## {described['name']}"]
    blocks += [prose(text) for text in (described["summary"], described["description"]) if text]
    blocks.append(f"```python\n{described['import']}\n```")
    if known := facts(described):
        blocks.append("\n".join(f"- {noun}: {_code(value)}" for noun, value in known))
    if inputs := described["inputs"]:
        rows = [(_code(p["name"]), p["type"], _default(p), prose(p["description"])) for p in inputs]
        blocks.append(table(("input", "type", "default", "meaning"), rows))
    if outputs := described["outputs"]:
        rows3 = [(_code(p["name"]), p["type"], prose(p["description"])) for p in outputs]
        blocks.append(table(("output", "type", "meaning"), rows3))
    return "\n\n".join(blocks)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; bars inside of cells are escaped, line breaks become spaces."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def prose(text: str) -> str:
    """Text as Markdown prints it: `<class>` is no tag, outside of code."""
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in _CODE.split(text))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _index(members: list[dict[str, Any]]) -> str:
    rows = [(f"[{d['name']}](#{d['name']})", prose(d["summary"]), shown_resources(d) or "-") for d in members]
    return table(("component", "what it does", "resources"), rows)


def _default(port: dict[str, Any]) -> str:
    shown = shown_default(port)
    return shown if shown in ("required", "empty") else _code(shown)


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"

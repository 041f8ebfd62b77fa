"""`argosy schema`: the documents that commands print as JSON, as JSON Schemas.

This is the one place that says what a field means: docs/documents.md is written from it, and the tests hold
real documents against it. A document may have more fields than its schema tells: fields are added, and none
changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

from argosy.lint.registry import Severity
from argosy.local.node import KINDS, Phase
from argosy.local.runs.gates import VERDICTS
from argosy.local.runs.record import State
from argosy.local.stacks import Health

_HEAD = """# Documents

<!-- Written by `argosy schema --output markdown > docs/documents.md`. -->

`--output json` of these commands, or `--format json` as below, prints a document that has a JSON Schema,
printed by `argosy schema NAME`.
Fields may be added, and none changes its meaning; one that a table calls optional is not always there.
"""
Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:

    return [CompletionItem(name) for name in DOCUMENTS if name.startswith(incomplete)]


@click.command()
@click.argument("name", required=False, shell_complete=_names)
@click.option("--output", type=click.Choice(["text", "markdown"]), default="text", show_default=True)
def schema(name: str | None, output: str) -> None:
    """Print the JSON Schema of what a command prints as JSON.

    Without NAME, list them.
    """
    from argosy.local.runs.record import pick

    if name:
        click.echo(json.dumps(schema_of(pick(name, list(DOCUMENTS), "document")), indent=2))
    elif output == "markdown":
        click.echo("\n".join([_HEAD, *_sections()]))
    else:
        width = max(map(len, DOCUMENTS))
        for one, (printed_by, found) in DOCUMENTS.items():
            click.echo(f"{one:<{width}}  {found['description']}: {printed_by}")


def _sections() -> Iterator[str]:

    shared: dict[str, Any] = {}
    for name, (printed_by, _) in DOCUMENTS.items():
        found = schema_of(name)
        shared |= found.get("$defs", {})
        yield f"## {name}\n\n`{printed_by}`: {found['description']}.\n"
        yield from _table(found)
    for name, found in shared.items():
        if name not in DOCUMENTS:
            yield f"## {name}, in the documents above\n\n{found['description'].capitalize()}.\n"
            yield from _table(found)


def _table(schema: Mapping[str, Any]) -> Iterator[str]:
    """The fields of an object, or of the objects of a list."""
    if "items" in schema and "$ref" in schema["items"]:
        yield f"A list of `{_type(schema['items'])}`, as in the section of that name.\n"
        return
    if "items" in schema:
        yield "A list, each with these fields:\n"
    yield "| field | type | value |\n| --- | --- | --- |"
    yield from _rows("", schema.get("items", schema))
    yield ""


def _rows(prefix: str, schema: Mapping[str, Any]) -> Iterator[str]:
    for name, field in schema["properties"].items():
        optional = "" if name in schema["required"] else "optional; "
        told = field.get("description", "as in the section of that name below").replace("|", "\\|")
        values = f": {', '.join(field['enum'])}" if "enum" in field else ""
        yield f"| `{prefix}{name}` | {_type(field)} | {optional}{told}{values} |"
        inside = field.get("items", field)
        if "properties" in inside:
            yield from _rows(f"{prefix}{name}{'[]' if 'items' in field else ''}.", inside)


def _type(field: Mapping[str, Any]) -> str:
    """The type of a field in a word or two."""

    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if field["type"] == ANY_TYPE:
        return "any"
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    text = " or ".join(kinds)
    if "items" in field:
        return f"{text} of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"{text} of {_type(field['additionalProperties'])}"
    return text


def _text(told: str, *values: str) -> Schema:
    return {"type": "string", "description": told, **({"enum": list(values)} if values else {})}


def _or_null(schema: Schema) -> Schema:
    kind = {"type": [schema["type"], "null"]} if "type" in schema else {}
    return {**schema, **kind}


def _number(told: str, kind: str = "number") -> Schema:
    return {"type": kind, "description": told, "minimum": 0}


def _flag(told: str) -> Schema:
    return {"type": "boolean", "description": told}


def _moment(told: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": f"{told}; RFC 3339 in UTC"}


def _listed(told: str, items: Schema) -> Schema:
    return {"type": "array", "description": told, "items": items}


def _by_name(told: str, values: Schema) -> Schema:
    return {"type": "object", "description": told, "additionalProperties": values}


def _pair(told: str, item: Schema) -> Schema:
    return {"type": "array", "description": told, "items": item, "minItems": 2, "maxItems": 2}


def _open(schema: Schema) -> Schema:
    """The object, which has fields of somebody else's beside those told."""
    return {**schema, "additionalProperties": True}


def _object(told: str, fields: Mapping[str, Schema], sometimes: Mapping[str, Schema] | None = None) -> Schema:
    """An object that has all of `fields`, and at times those of `sometimes`."""
    properties = {**fields, **(sometimes or {})}
    return {"type": "object", "description": told, "properties": properties, "required": list(fields)}


ANY_TYPE = ["object", "array", "string", "number", "boolean", "null"]
_ANYTHING: Schema = {"type": ANY_TYPE}
_PHASES = [phase.value for phase in Phase]
_ANY_TEXT: Schema = {"type": "string"}
_OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}

_VALUES = _object(
    "inputs or outputs",
    {
        "parameters": _by_name("texts by name", _ANY_TEXT),
        "artifacts": _by_name("paths by name, those of this run below `runDir`", _ANY_TEXT),
    },
    {
        "result": _text("standard output, where it was captured"),
        "marks": _by_name(
            "artifacts as a program made them: `size`, `modified` (in nanoseconds), `sha256`",
            _object(
                "an artifact as it was made",
                {
                    "size": _number("bytes of its files", "integer"),
                    "modified": _number("nanoseconds from 1970 to its last change", "integer"),
                    "sha256": {"type": ["string", "null"], "description": "null where it was not read"},
                },
            ),
        ),
    },
)
_VALUES_HERE: Schema = {"$ref": "#/$defs/values"}

_EXIT_CODE: Schema = {"type": ["integer", "null"], "description": "null where no program ended"}
_ATTEMPT = _object(
    "one try of a node that may be retried",
    {
        "name": _text("the node's name and the attempt's number"),
        "phase": _text("how it ended", *_PHASES),
        "startedAt": _moment("its begin"),
        "finishedAt": _moment("its end"),
        "exitCode": _EXIT_CODE,
        "message": _text("why it failed; empty where it did not"),
    },
)

_NODE_FIELDS = {
    "name": _text("unique: `task`, `outer.inner`, of a loop's item `task(0:item)`"),
    "displayName": _text("the last part of the name"),
    "template": _text("the template that it runs"),
    "type": _text("what it is", *KINDS.values(), "Loop"),
    "parent": _text("the node that it is inside of; empty at the top"),
    "phase": _text("Argo's phase", *_PHASES),
    "queuedAt": _or_null(_moment("when it could have started")),
    "startedAt": _or_null(_moment("its begin")),
    "finishedAt": _or_null(_moment("its end")),
    "inputs": _VALUES_HERE,
    "outputs": _VALUES_HERE,
    "exitCode": _EXIT_CODE,
    "message": _text("why it failed, was skipped or waits; else empty"),
    "log": _or_null(_text("the file of the last attempt's output, below `runDir`")),
    "logTail": _listed("of a node that failed, the last lines of its log", _ANY_TEXT),
    "attempts": _listed(
        "where it may be retried, or a resumed run had tried it before, each try", {"$ref": "#/$defs/attempt"}
    ),
}
_NODE_SOMETIMES = {
    "retryAt": _moment("while it waits for its next attempt, when that begins"),
    "reused": _text("the run whose outputs it has, where it was not carried out"),
    "seconds": _number("of `show` alone: how long it took, or has been taking"),
}
_NODE = _object("a task, step, loop, or item of a loop", _NODE_FIELDS, _NODE_SOMETIMES)
_NODES = _listed("the nodes, each followed by what is inside of it", {"$ref": "#/$defs/node"})

_GATE = _object(
    "a gate's decision",
    {
        "step": _text("the step that decided"),
        "verdict": _text("its word", *VERDICTS),
        "reason": _text("its reason, where it gave one; else empty"),
        "rules": _listed(
            "the rules of its annotation `argosy.dev/gate`",
            _object(
                "one comparison",
                {
                    "rule": _text("as the annotation has it"),
                    "number": _text("with its numbers, such as `0.97 >= 0.9`"),
                    "holds": {"type": ["boolean", "null"], "description": "null: it does not apply"},
                },
            ),
        ),
    },
)

_ARTIFACT = _object(
    "an artifact that a step made",
    {
        "step": _text("the step"),
        "name": _text("the output's name"),
        "path": _text("where it is"),
        "sizeBytes": _or_null(
            _number("of the file, or of all in the folder; null in a cluster's storage", "integer")
        ),
        "exists": _or_null(_flag("whether it is still there; null in a cluster's storage")),
    },
)

_RUN_FIELDS = {
    "run": _text("the name by which commands know the run"),
    "pipeline": _text("the name of the pipeline or workflow"),
    "startedAt": _or_null(_moment("its begin; null where nothing began")),
    "finishedAt": _or_null(_moment("its end; null where there was none")),
    "seconds": _or_null(
        _number("how long it took, has been taking, or is known to have gone on; null where it never began")
    ),
    "phase": _text(
        "Argo's phase, or the state with a capital", *_PHASES, "Interrupted", "Unstarted", "Unreadable"
    ),
    "state": _text("how its folder is: `interrupted` where its runner died", *get_args(State)),
    "message": _text("why it failed, or why it cannot be read; else empty"),
    "failed": _listed("names of the steps that failed", _ANY_TEXT),
    "gates": _by_name("verdict by step", _text("the gate's word", *VERDICTS)),
    "sizeBytes": _number("of the whole folder", "integer"),
    "runDir": _text("the folder; of a cluster's workflow the one that `argosy open` makes"),
}

_PORT_FIELDS = {
    "name": _text("its name in YAML"),
    "python": _text("its name in Python"),
    "type": _text("its type in Python, as text"),
    "artifact": _flag("whether it is a file"),
    "description": _text("the sentence of the docstring; empty where there is none"),
}
_COMPONENT = _object(
    "a component, from its declaration",
    {
        "name": _text("its name in YAML"),
        "summary": _text("the first line of its docstring"),
        "description": _text("the rest of it, without the fields"),
        "import": _text("the line that imports it"),
        "inputs": _listed(
            "its parameters and artifacts",
            _object(
                "an input",
                {**_PORT_FIELDS, "required": _flag("whether a call has to give it")},
                {"default": _or_null(_text("as text; null: whoever runs the step decides"))},
            ),
        ),
        "outputs": _listed("what it hands on", _object("an output", _PORT_FIELDS)),
    },
    {
        "templateRef": _by_name("of a component that is a template of a cluster, Argo's field", _ANYTHING),
        "image": _text("of its container"),
        "command": _listed("of its container", _ANY_TEXT),
        "origin": _text("the file or address that it was loaded from"),
        "resources": _by_name("Kubernetes' field", _ANYTHING),
        "nodeSelector": _by_name("Kubernetes' field", _ANY_TEXT),
        "tolerations": _listed("Kubernetes' field", _by_name("a toleration", _ANY_TEXT)),
        "volumes": _listed("Kubernetes' field, with `mountPath`", _by_name("a volume", _ANYTHING)),
        "env": _listed("names of its variables, never a value", _ANY_TEXT),
        "retryStrategy": _by_name("Argo's field", _ANYTHING),
        "activeDeadlineSeconds": _number("Argo's field", "integer"),
    },
)

_TEXTS = _pair("one of each run", _OPTIONAL_TEXT)
_PAIRED = "what differs, by name: first run, second run, null where a run has none"

DOCUMENTS: dict[str, tuple[str, Schema]] = {
    "runs": (
        "argosy runs --output json, argosy runs --cluster --output json",
        _object(
            "the runs of this machine, or the workflows of a namespace",
            {"runs": _listed("the last run first", _object("a run", _RUN_FIELDS))},
        ),
    ),
    "show": (
        "argosy show RUN --output json, argosy show NAMESPACE/WORKFLOW --output json",
        _object(
            "one run in full",
            {
                **_RUN_FIELDS,
                "uid": _text("the workflow's uid"),
                "argosy": _or_null(_text("the version that ran it; null where nothing tells")),
                "parameters": _by_name("texts by name", _ANY_TEXT),
                "outputs": _VALUES_HERE,
                "nodes": _NODES,
                "artifacts": _listed("what steps made", _ARTIFACT),
                "gateRules": _listed("gates with their numbers", _GATE),
            },
        ),
    ),
    "logs": (
        "argosy logs RUN [STEP] --output json, argosy logs NAMESPACE/WORKFLOW [STEP] --output json",
        _object(
            "a line that a step wrote; one document a line",
            {
                "step": _text("the node's name; of a cluster's the part that it displays"),
                "attempt": _number("from 0", "integer"),
                "line": _text("the line, without its end"),
            },
        ),
    ),
    "compare": (
        "argosy compare RUN RUN --output json",
        _object(
            "what differs between two runs",
            {
                "runs": _pair("their names", _ANY_TEXT),
                "phases": _pair("their phases", _ANY_TEXT),
                "seconds": _pair("how long they took", {"type": ["number", "null"]}),
                "parameters": _by_name(_PAIRED, _TEXTS),
                "gates": _by_name(f"verdicts and numbers of rules; {_PAIRED}", _TEXTS),
                "outputs": _by_name(f"outputs of steps, `step.output`; {_PAIRED}", _TEXTS),
                "steps": _by_name(f"phases of steps; {_PAIRED}", _TEXTS),
                "times": _by_name("seconds of programs that both have", _pair("seconds", {"type": "number"})),
                "templates": _by_name(f"templates, as text; {_PAIRED}", _TEXTS),
                "code": _or_null(
                    _by_name(
                        "by file the lines of a unified diff; null where a run did not keep its code",
                        {"type": "array", "items": _ANY_TEXT},
                    )
                ),
            },
        ),
    ),
    "run": (
        "argosy run PIPELINE --output json, argosy rerun RUN --output json",
        _object(
            "how a run ended, or why it was refused",
            {
                "name": _text("the workflow's name; of a refused run what the command named"),
                "uid": _text("the workflow's uid; of a refused run empty"),
                "phase": _text("Argo's phase; Failed where the linter refuses, else Error", *_PHASES),
                "message": _text("why it failed or was refused; else empty"),
                "startedAt": _or_null(_moment("its begin; null where it was refused")),
                "finishedAt": _or_null(_moment("its end; null where it was refused")),
                "parameters": _by_name("texts by name", _ANY_TEXT),
                "nodes": _NODES,
                "outputs": _VALUES_HERE,
                "runDir": _or_null(_text("the run's folder; null where it was refused")),
            },
        ),
    ),
    "plan": (
        "argosy run PIPELINE --plan --output json",
        _object(
            "which steps a run would reuse",
            {
                "steps": _listed(
                    "every program, in the order of the run",
                    _object(
                        "a step",
                        {
                            "step": _text("the node's name"),
                            "plan": _text("`runs`, `waits for what runs`, `reused from RUN`, `skipped: WHY`"),
                            "reused": _or_null(_text("the run that its outputs would come from")),
                        },
                    ),
                )
            },
        ),
    ),
    "get": (
        "argosy get NAMESPACE/WORKFLOW --output json",
        _open(
            _object(
                "a workflow of a cluster, as Argo has it",
                {
                    "metadata": _by_name("Kubernetes' field: `name`, `namespace`, `uid`, ...", _ANYTHING),
                    "spec": _by_name("Argo's field", _ANYTHING),
                },
                {"status": _by_name("Argo's field; there once its controller has seen it", _ANYTHING)},
            )
        ),
    ),
    "lint": (
        "argosy lint --format json",
        _listed(
            "the findings, by file and line",
            _object(
                "a finding",
                {
                    "file": _text("the file, as it was named, or `<stdin>`"),
                    "line": _number("from 1", "integer"),
                    "column": _number("from 1", "integer"),
                    "rule": _text("the rule's code, such as ARG301"),
                    "name": _text("the rule's name"),
                    "severity": _text("how bad it is", *map(str, Severity)),
                    "path": _text("where it is in the document, such as `spec.templates[0].name`"),
                    "message": _text("the mistake"),
                    "hint": _text("the way out; empty where there is none to tell"),
                },
            ),
        ),
    ),
    "env-diff": (
        "argosy env diff ENV ENV PIPELINE --output json",
        _listed(
            "the fields that differ, in the order of the manifest",
            _object(
                "a field",
                {
                    "path": _text("such as `spec.templates[say].metadata.labels.stage`"),
                    "before": {**_ANYTHING, "description": "in the first; null where it is not set"},
                    "after": {**_ANYTHING, "description": "in the second; null where it is not set"},
                },
            ),
        ),
    ),
    "build": (
        "argosy build --push PREFIX --format json",
        _listed(
            "the images that were made",
            _object(
                "an image",
                {
                    "image": _text("its name with tag and digest, as manifests have it"),
                    "sent": _number("bytes; 0 where the registry had all of it", "integer"),
                },
            ),
        ),
    ),
    "status": (
        "argosy status --output json",
        _open(
            _object(
                "the embedded stack; its own addresses and keys are beside these fields",
                {
                    "healthy": _flag("whether every server is up and answers"),
                    "services": _listed(
                        "the servers; none where the stack has never been up",
                        _object(
                            "a server",
                            {
                                "name": _text("its name"),
                                "health": _text(
                                    "`dead`: ended on its own; `stopped`: by `argosy down`", *get_args(Health)
                                ),
                                "address": _text("where it listens"),
                                "pid": {"type": ["integer", "null"], "description": "its process"},
                                "problem": _text("why it is not well, with the end of its log; else empty"),
                            },
                        ),
                    ),
                },
            )
        ),
    ),
    "components": (
        "argosy components --output json",
        _listed("the components", {"$ref": "#/$defs/component"}),
    ),
    "component": ("argosy components NAME --output json", _COMPONENT),
}  # fmt: skip
"""By name the commands that print a document, and its schema."""

_SHARED = {"values": _VALUES, "attempt": _ATTEMPT, "node": _NODE, "component": _COMPONENT}


def schema_of(name: str) -> Schema:
    """The JSON Schema of a document, complete in itself."""
    printed_by, schema = DOCUMENTS[name]
    shared = _used_by(schema)
    head = {"$schema": DIALECT, "title": f"argosy {name}", "$comment": f"printed by {printed_by}"}
    return {**head, **schema, **({"$defs": shared} if shared else {})}


def _used_by(schema: Schema) -> dict[str, Schema]:
    """The shared objects that a schema names, and those that they name."""
    found: dict[str, Schema] = {}
    text = str(schema)
    while more := [n for n in _SHARED if n not in found and f"'#/$defs/{n}'" in text]:
        found |= {name: _SHARED[name] for name in more}
        text = str(found)
    return found

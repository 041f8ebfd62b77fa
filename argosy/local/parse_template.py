"""One template, from its dict to the model."""

from __future__ import annotations

from typing import Any

from argosy.declare.container import CACHE_ANNOTATION
from argosy.errors import ManifestError
from argosy.local.fields_refused import FETCHED_INPUTS
from argosy.local.locks import parse_locks
from argosy.local.model import Input, InputArtifact, Output, OutputArtifact, Template
from argosy.local.parse_call import parse_call
from argosy.local.parse_container import parse_container
from argosy.local.parse_retry import parse_retry
from argosy.local.parse_tools import Raw, flag, named, positive, raw_data
from argosy.local.shape import check_fields, expect_list
from argosy.local.values import optional_text, text_of

_TYPES = ("container", "script", "dag", "steps", "suspend")


def parse_template(raw: Raw, spec: Raw) -> tuple[Template, dict[str, Raw]]:
    """The template, and the templates written inline in its tasks, by the names they are given."""
    where = f"template '{raw['name']}'"
    check_fields(_without_cluster_cache(raw), "template", where)
    types = [kind for kind in _TYPES if raw.get(kind) is not None]
    if len(types) != 1:
        raise ManifestError(
            f"{where}: exactly one of {', '.join(_TYPES)} is needed, not {' and '.join(types) or 'none'}"
        )
    kind, body = types[0], raw[types[0]]
    inputs, outputs = raw.get("inputs") or {}, raw.get("outputs") or {}
    inline: dict[str, Raw] = {}
    template = Template(
        name=raw["name"],
        kind=kind,
        parameters=parse_inputs(inputs.get("parameters"), f"{where} inputs"),
        artifacts=tuple(
            _input_artifact(item, where) for item in named(inputs.get("artifacts"), f"{where} inputs")
        ),
        outputs=tuple(_output(item, where) for item in named(outputs.get("parameters"), f"{where} outputs")),
        output_artifacts=tuple(
            _output_artifact(item, where) for item in named(outputs.get("artifacts"), f"{where} outputs")
        ),
        container=parse_container(body, raw, spec, where) if kind in ("container", "script") else None,
        tasks=tuple(parse_call(item, raw["name"], inline) for item in _tasks(kind, body, where)),
        groups=tuple(
            tuple(parse_call(item, raw["name"], inline) for item in group)
            for group in _groups(kind, body, where)
        ),
        retry=parse_retry(raw.get("retryStrategy"), where),
        timeout=optional_text(raw.get("timeout"), f"{where}.timeout"),
        deadline=optional_text(raw.get("activeDeadlineSeconds"), f"{where}.activeDeadlineSeconds"),
        parallelism=positive(raw.get("parallelism"), f"{where}.parallelism"),
        fail_fast=flag(raw.get("failFast"), False, f"{where}.failFast"),
        locks=parse_locks(raw.get("synchronization"), where),
        suspended=optional_text(body.get("duration") or "", f"{where}.suspend")
        if kind == "suspend"
        else None,
        dag_fail_fast=kind != "dag" or flag(body.get("failFast"), True, f"{where}.dag.failFast"),
        target=str(body.get("target") or "") if kind == "dag" else "",
    )
    for field, value in (("timeout", template.timeout), ("activeDeadlineSeconds", template.deadline)):
        if value and not template.is_leaf:
            raise ManifestError(
                f"{where}: '{field}' belongs to container and script templates; put it on the tasks' own, "
                "or activeDeadlineSeconds on the workflow"
            )
    return template, inline


def _without_cluster_cache(raw: Raw) -> Raw:
    """The template without `memoize`, where it says besides that this machine's cache may do the same."""
    metadata = raw.get("metadata")
    notes = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not (isinstance(notes, dict) and notes.get(CACHE_ANNOTATION) == "true"):
        return raw
    return {key: value for key, value in raw.items() if key != "memoize"}


def parse_inputs(raw: Any, where: str) -> tuple[Input, ...]:
    """Declared parameters, in order."""
    return tuple(
        Input(
            item["name"],
            value=optional_text(item.get("value"), f"{where}.{item['name']}"),
            default=optional_text(item.get("default"), f"{where}.{item['name']}.default"),
            enum=tuple(
                text_of(v, f"{where}.{item['name']}.enum") for v in expect_list(item.get("enum"), where)
            ),
        )
        for item in named(raw, where)
    )


def _tasks(kind: str, body: Any, where: str) -> list[Raw]:
    return named(body.get("tasks"), f"{where} dag") if kind == "dag" else []


def _groups(kind: str, body: Any, where: str) -> list[list[Raw]]:
    if kind != "steps":
        return []
    groups = [named(group if isinstance(group, list) else [group], f"{where} steps") for group in body]
    named([step for group in groups for step in group], f"{where} steps")
    return groups


def _input_artifact(raw: Raw, where: str) -> InputArtifact:
    return InputArtifact(
        raw["name"],
        path=optional_text(raw.get("path"), f"{where}.{raw['name']}.path"),
        raw=raw_data(raw, where),
        optional=flag(raw.get("optional"), False, f"{where}.{raw['name']}.optional"),
        mode=raw.get("mode"),
        fetched=next((kind for kind in sorted(FETCHED_INPUTS) if raw.get(kind)), None),
    )


def _output(raw: Raw, where: str) -> Output:
    source = raw.get("valueFrom") or {}
    name = f"{where} outputs.{raw['name']}"
    default = source.get("default", raw.get("default"))
    supplied = source.get("supplied") is not None
    known = any(source.get(kind) for kind in ("path", "parameter", "expression"))
    if not known and not supplied and default is None:
        raise ManifestError(
            f"{name}: valueFrom needs a path (of a file), a parameter (of a task) or an expression"
        )
    return Output(
        raw["name"],
        path=optional_text(source.get("path"), name),
        parameter=optional_text(source.get("parameter"), name),
        expression=optional_text(source.get("expression"), name) or None,
        default=optional_text(default, name),
        global_name=optional_text(raw.get("globalName"), name),
    )


def _output_artifact(raw: Raw, where: str) -> OutputArtifact:
    name = f"{where} outputs.{raw['name']}"
    if not (raw.get("path") or raw.get("from") or raw.get("fromExpression")):
        raise ManifestError(f"{name}: an artifact needs a path (of a file or folder) or a from (of a task)")
    return OutputArtifact(
        raw["name"],
        path=optional_text(raw.get("path"), name),
        source=optional_text(raw.get("from"), name),
        expression=optional_text(raw.get("fromExpression"), name) or None,
        optional=flag(raw.get("optional"), False, name),
        global_name=optional_text(raw.get("globalName"), name),
    )

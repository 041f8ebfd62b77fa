"""One template, from its dict to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argosy.errors import ManifestError
from argosy.runner import duration
from argosy.runner.fields import FETCHED_INPUTS
from argosy.runner.model import (
    Arguments,
    ArtifactArgument,
    Call,
    Hook,
    Input,
    InputArtifact,
    Loop,
    Output,
    OutputArtifact,
    Retry,
    Template,
)
from argosy.runner.parse_container import parse_container
from argosy.runner.shape import check_fields, expect_list, expect_mapping
from argosy.runner.values import optional_text, text_of

Raw = Mapping[str, Any]
_TYPES = ("container", "script", "dag", "steps")


def parse_template(raw: Raw, spec: Raw) -> tuple[Template, dict[str, Raw]]:
    """The template, and the templates written inline in its tasks, by the names they are given."""
    where = f"template '{raw['name']}'"
    check_fields(raw, "template", where)
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
            _input_artifact(item, where) for item in _named(inputs.get("artifacts"), f"{where} inputs")
        ),
        outputs=tuple(_output(item, where) for item in _named(outputs.get("parameters"), f"{where} outputs")),
        output_artifacts=tuple(
            _output_artifact(item, where) for item in _named(outputs.get("artifacts"), f"{where} outputs")
        ),
        container=parse_container(body, raw, spec, where) if kind in ("container", "script") else None,
        tasks=tuple(_call(item, raw["name"], inline) for item in _tasks(kind, body, where)),
        groups=tuple(
            tuple(_call(item, raw["name"], inline) for item in group) for group in _groups(kind, body, where)
        ),
        retry=parse_retry(raw.get("retryStrategy"), where),
        timeout=optional_text(raw.get("timeout"), f"{where}.timeout"),
        deadline=optional_text(raw.get("activeDeadlineSeconds"), f"{where}.activeDeadlineSeconds"),
        parallelism=positive(raw.get("parallelism"), f"{where}.parallelism"),
        fail_fast=_flag(body.get("failFast"), True, f"{where}.dag.failFast") if kind == "dag" else True,
        target=tuple(str(body.get("target") or "").split()) if kind == "dag" else (),
    )
    if not template.is_leaf and (template.timeout or template.deadline):
        field = "timeout" if template.timeout else "activeDeadlineSeconds"
        raise ManifestError(
            f"{where}: '{field}' belongs to container and script templates; put it on the tasks' own"
        )
    return template, inline


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
        for item in _named(raw, where)
    )


def parse_arguments(raw: Any, where: str) -> Arguments:
    """What is passed; a parameter without a value is left to the callee's default."""
    mapping = expect_mapping(raw or {}, where)
    parameters = {
        item["name"]: text_of(item["value"], f"{where}.{item['name']}")
        for item in _named(mapping.get("parameters"), where)
        if item.get("value") is not None
    }
    artifacts = {
        item["name"]: _artifact_argument(item, where) for item in _named(mapping.get("artifacts"), where)
    }
    return Arguments(parameters, artifacts)


def parse_hook(raw: Raw, where: str) -> Hook | None:
    """The exit handler of a workflow, task or step: `onExit`, or `hooks.exit`."""
    hook = (raw.get("hooks") or {}).get("exit")
    if hook:
        if not isinstance(hook.get("template"), str):
            raise ManifestError(f"{where}: hooks.exit needs a template")
        return Hook(hook["template"], parse_arguments(hook.get("arguments"), f"{where} hooks.exit"))
    return Hook(text_of(raw["onExit"], f"{where}.onExit")) if raw.get("onExit") else None


def parse_retry(raw: Any, where: str) -> Retry | None:
    """A retryStrategy, with Argo's default policy."""
    if raw is None:
        return None
    backoff = raw.get("backoff") or {}
    where = f"{where} retryStrategy"
    policy = raw.get("retryPolicy") or ("Always" if raw.get("expression") else "OnFailure")
    if policy not in ("Always", "OnFailure", "OnError", "OnTransientError"):
        raise ManifestError(
            f"{where}: {policy!r} is no retryPolicy; Always, OnFailure, OnError or OnTransientError"
        )

    def length(field: str) -> float | None:
        return (
            duration.seconds(backoff[field], f"{where}.{field}") if backoff.get(field) is not None else None
        )

    return Retry(
        limit=optional_text(raw.get("limit"), f"{where}.limit"),
        policy=policy,
        expression=optional_text(raw.get("expression"), f"{where}.expression"),
        duration=length("duration") or 0.0,
        factor=float(text_of(backoff.get("factor", 1) or 1, f"{where}.factor")),
        max_duration=length("maxDuration"),
        cap=length("cap"),
    )


def _tasks(kind: str, body: Any, where: str) -> list[Raw]:
    return _named(body.get("tasks"), f"{where} dag") if kind == "dag" else []


def _groups(kind: str, body: Any, where: str) -> list[list[Raw]]:
    if kind != "steps":
        return []
    groups = [_named(group if isinstance(group, list) else [group], f"{where} steps") for group in body]
    _named([step for group in groups for step in group], f"{where} steps")
    return groups


def _call(raw: Raw, parent: str, inline: dict[str, Raw]) -> Call:
    where = f"template '{parent}', '{raw['name']}'"
    template = raw.get("template")
    if raw.get("inline"):
        template = f"{parent}.{raw['name']}"
        inline[template] = {**raw["inline"], "name": template}
    if not isinstance(template, str):
        raise ManifestError(f"{where}: no template is named")
    continues = raw.get("continueOn") or {}
    names = expect_list(raw.get("dependencies"), f"{where}.dependencies")
    if names and raw.get("depends"):
        raise ManifestError(f"{where}: `depends` and `dependencies` exclude each other")
    if continues and raw.get("depends"):
        raise ManifestError(
            f"{where}: continueOn has no effect beside `depends`; use `{raw['name']}.Failed` there"
        )
    return Call(
        name=raw["name"],
        template=template,
        arguments=parse_arguments(raw.get("arguments"), where),
        dependencies=tuple(text_of(name, f"{where}.dependencies") for name in names),
        depends=optional_text(raw.get("depends"), f"{where}.depends") or None,
        when=optional_text(raw.get("when"), f"{where}.when") or None,
        loop=_loop(raw, where),
        continue_on_failed=_flag(continues.get("failed"), False, f"{where}.continueOn.failed"),
        continue_on_error=_flag(continues.get("error"), False, f"{where}.continueOn.error"),
        exit_hook=parse_hook(raw, where),
    )


def _loop(raw: Raw, where: str) -> Loop | None:
    given = [field for field in ("withItems", "withParam", "withSequence") if raw.get(field) is not None]
    if not given:
        return None
    if len(given) > 1:
        raise ManifestError(f"{where}: {' and '.join(given)} exclude each other")
    value = raw[given[0]]
    if given[0] == "withItems":
        return Loop(items=tuple(expect_list(value, f"{where}.withItems")))
    if given[0] == "withParam":
        return Loop(param=text_of(value, f"{where}.withParam"))
    sequence = {
        key: text_of(part, f"{where}.withSequence.{key}") for key, part in value.items() if part is not None
    }
    if ("count" in sequence) == ("end" in sequence):
        raise ManifestError(f"{where}: withSequence needs either count or end")
    return Loop(sequence=sequence)


def _input_artifact(raw: Raw, where: str) -> InputArtifact:
    return InputArtifact(
        raw["name"],
        path=optional_text(raw.get("path"), f"{where}.{raw['name']}.path"),
        raw=_raw_data(raw, where),
        optional=_flag(raw.get("optional"), False, f"{where}.{raw['name']}.optional"),
        mode=raw.get("mode"),
        fetched=next((kind for kind in FETCHED_INPUTS if raw.get(kind)), None),
    )


def _artifact_argument(raw: Raw, where: str) -> ArtifactArgument:
    return ArtifactArgument(
        raw["name"],
        source=optional_text(raw.get("from"), f"{where}.{raw['name']}.from"),
        raw=_raw_data(raw, where),
        sub_path=optional_text(raw.get("subPath"), f"{where}.{raw['name']}.subPath"),
        optional=_flag(raw.get("optional"), False, f"{where}.{raw['name']}.optional"),
    )


def _raw_data(raw: Raw, where: str) -> str | None:
    return (
        None
        if raw.get("raw") is None
        else text_of(raw["raw"].get("data", ""), f"{where}.{raw['name']}.raw.data")
    )


def _output(raw: Raw, where: str) -> Output:
    source = raw.get("valueFrom") or {}
    name = f"{where} outputs.{raw['name']}"
    default = source.get("default", raw.get("default"))
    if not (source.get("path") or source.get("parameter")) and default is None:
        raise ManifestError(f"{name}: valueFrom needs a path (of a file) or a parameter (of a task)")
    return Output(
        raw["name"],
        path=optional_text(source.get("path"), name),
        parameter=optional_text(source.get("parameter"), name),
        default=optional_text(default, name),
        global_name=optional_text(raw.get("globalName"), name),
    )


def _output_artifact(raw: Raw, where: str) -> OutputArtifact:
    name = f"{where} outputs.{raw['name']}"
    if not (raw.get("path") or raw.get("from")):
        raise ManifestError(f"{name}: an artifact needs a path (of a file or folder) or a from (of a task)")
    return OutputArtifact(
        raw["name"],
        path=optional_text(raw.get("path"), name),
        source=optional_text(raw.get("from"), name),
        optional=_flag(raw.get("optional"), False, name),
        global_name=optional_text(raw.get("globalName"), name),
    )


def _named(raw: Any, where: str) -> list[Raw]:
    seen: set[str] = set()
    items = expect_list(raw, where)
    for item in items:
        name = expect_mapping(item, where).get("name")
        if not isinstance(name, str) or not name:
            raise ManifestError(f"{where}: everything listed there needs a name, {dict(item)!r} has none")
        if name in seen:
            raise ManifestError(f"{where}: '{name}' is there twice")
        seen.add(name)
    return items


def _flag(value: Any, default: bool, where: str) -> bool:
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ManifestError(f"{where}: true or false is expected, not {value!r}")
    return value


def positive(value: Any, where: str) -> int | None:
    """A whole number above 0, or None. Raises ManifestError for anything else."""
    if value is None:
        return None
    if not isinstance(value, int) or value < 1:
        raise ManifestError(f"{where}: {value!r} is not a whole number above 0")
    return value

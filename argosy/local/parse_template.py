"""One template, from its dict to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from argosy.declare.container import CACHE_ANNOTATION
from argosy.errors import LanguageError, ManifestError
from argosy.local.box import parse_box
from argosy.local.fields import FETCHED_INPUTS, FIELD_PATHS
from argosy.local.kept import CONFIG_MAP, SECRET, Source
from argosy.local.locks import parse_locks
from argosy.local.memo import parse_memo
from argosy.local.model import (
    Container,
    EnvFrom,
    EnvVar,
    Input,
    InputArtifact,
    Output,
    OutputArtifact,
    Retry,
    SetRetry,
    Template,
)
from argosy.local.mounts import parse_mounts
from argosy.local.parse_call import Raw, flag, named, parse_call, positive, raw_data
from argosy.local.patch import patched
from argosy.local.probes import parse_probe
from argosy.local.request import parse_request
from argosy.local.retry import bare
from argosy.local.shape import check_fields, duration, expect_list, optional_text, text_of
from argosy.manifest import expressions
from argosy.manifest.tags import parse


def parse_container(
    body: Mapping[str, Any], raw: Mapping[str, Any], spec: Mapping[str, Any], where: str
) -> Container:
    """The program, and what a container engine is told of it. Raises ManifestError."""
    source = body.get("source") if raw.get("script") is not None else None
    return Container(
        command=_words(body, "command", where),
        args=_words(body, "args", where),
        env=tuple(_env(item, where) for item in expect_list(body.get("env"), f"{where}.env")),
        env_from=tuple(
            _env_from(item, where) for item in expect_list(body.get("envFrom"), f"{where}.envFrom")
        ),
        working_dir=optional_text(body.get("workingDir"), f"{where}.workingDir"),
        source=None if source is None else text_of(source, f"{where}.source"),
        mounts=parse_mounts(body, raw, spec, where),
        ready=parse_probe(body, where) if raw.get("daemon") else None,
        box=parse_box(body, raw, spec),
    )


def parse_beside(
    field: str, raw: Mapping[str, Any], spec: Mapping[str, Any], where: str
) -> tuple[Container, ...]:
    """The `initContainers` or `sidecars` of a template. Raises ManifestError."""
    main = raw.get("container") or raw.get("script") or {}
    found = []
    for item in named(raw.get(field), f"{where}.{field}"):
        body = dict(item)
        if body.get("mirrorVolumeMounts"):
            body["volumeMounts"] = [*(body.get("volumeMounts") or ()), *(main.get("volumeMounts") or ())]
        container = parse_container(body, {**raw, "script": None}, spec, f"{where}.{field}[{item['name']}]")
        found.append(replace(container, name=item["name"]))
    return tuple(found)


def parse_set(raw: Mapping[str, Any], spec: Mapping[str, Any], where: str) -> tuple[Container, ...]:
    """The containers of a `containerSet`, each with the set's mounts. Raises ManifestError."""
    body, found = raw["containerSet"], []
    if raw.get("daemon"):
        raise ManifestError(f"{where}: a containerSet is no daemon; make the daemon a template of its own")
    for item in named(body.get("containers"), f"{where}.containerSet"):
        place = f"{where}.containerSet[{item['name']}]"
        shared = expect_list(body.get("volumeMounts"), f"{where}.containerSet.volumeMounts")
        own = expect_list(item.get("volumeMounts"), f"{place}.volumeMounts")
        container = parse_container({**item, "volumeMounts": [*own, *shared]}, raw, spec, place)
        found.append(replace(container, name=item["name"], dependencies=_words(item, "dependencies", place)))
    if not found:
        raise ManifestError(f"{where}: a containerSet needs containers")
    return tuple(found)


def _set_retry(body: Mapping[str, Any], where: str) -> SetRetry:
    raw = body.get("retryStrategy") or {}
    where = f"{where}.containerSet.retryStrategy"
    attempts = optional_text(raw.get("retries"), f"{where}.retries")
    if attempts is not None and attempts.lstrip("-").isdecimal() and int(attempts) < 1:
        raise ManifestError(
            f"{where}: with retries {attempts} Argo starts no container, and calls that a success: 1 is one "
            "attempt; or remove the retryStrategy"
        )
    return SetRetry(attempts or "1", optional_text(raw.get("duration"), f"{where}.duration") or "0")


def _words(body: Mapping[str, Any], field: str, where: str) -> tuple[str, ...]:
    return tuple(
        text_of(word, f"{where}.{field}") for word in expect_list(body.get(field), f"{where}.{field}")
    )


def _env(raw: Mapping[str, Any], where: str) -> EnvVar:
    name = text_of(raw.get("name"), f"{where}.env")
    source = raw.get("valueFrom") or {}
    if field := (source.get("fieldRef") or {}).get("fieldPath"):
        if field not in FIELD_PATHS:
            raise ManifestError(
                f"{where}: env '{name}' takes {field}, which is not known here: {', '.join(FIELD_PATHS)}"
            )
        return EnvVar(name, field_path=field)
    for kind, noun in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
        if reference := source.get(kind):
            outside = Source(noun, str(reference.get("name")), str(reference.get("key")))
            return EnvVar(name, source=outside, optional=bool(reference.get("optional")))
    return EnvVar(name, value=optional_text(raw.get("value"), f"{where}.env.{name}") or "")


def _env_from(raw: Mapping[str, Any], where: str) -> EnvFrom:
    prefix = optional_text(raw.get("prefix"), f"{where}.envFrom.prefix") or ""
    for kind, noun in (("secretRef", SECRET), ("configMapRef", CONFIG_MAP)):
        if reference := raw.get(kind):
            return EnvFrom(noun, str(reference.get("name")), prefix, bool(reference.get("optional")))
    raise ManifestError(f"{where}: envFrom needs a secretRef or a configMapRef")


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
    expression = optional_text(raw.get("expression"), f"{where}.expression")
    try:
        if expression is not None:
            expressions.check(parse(bare(expression)).filled("1"))
    except LanguageError as error:
        raise ManifestError(f"{where}: {error}") from error

    def length(field: str) -> float | None:
        return duration(backoff[field], f"{where}.{field}") if backoff.get(field) is not None else None

    return Retry(
        limit=optional_text(raw.get("limit"), f"{where}.limit"),
        policy=policy,
        expression=expression,
        duration=length("duration") if backoff else 0.0,
        factor=float(text_of(backoff.get("factor", 1) or 1, f"{where}.factor")),
        max_duration=length("maxDuration"),
        cap=length("cap"),
    )


_TYPES = ("container", "script", "containerSet", "dag", "steps", "suspend", "http")


def parse_template(raw: Raw, spec: Raw) -> tuple[Template, dict[str, Raw]]:
    """The template, and the templates written inline in its tasks, by the names they are given."""
    where = f"template '{raw['name']}'"
    raw = patched(raw, spec, where)
    check_fields(raw, "template", where)
    types = [kind for kind in _TYPES if raw.get(kind) is not None]
    if len(types) != 1:
        raise ManifestError(
            f"{where}: exactly one of {', '.join(_TYPES)} is needed, not {' and '.join(types) or 'none'}"
        )
    kind, body = types[0], raw[types[0]]
    inputs, outputs = raw.get("inputs") or {}, raw.get("outputs") or {}
    inline: dict[str, Raw] = {}
    containers = parse_set(raw, spec, where) if kind == "containerSet" else ()
    main = next((container for container in containers if container.name == "main"), (*containers, None)[0])
    if kind in ("container", "script"):
        main = parse_container(body, raw, spec, where)
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
        container=main,
        containers=containers,
        set_retry=_set_retry(body, where) if containers else SetRetry(),
        init_containers=parse_beside("initContainers", raw, spec, where),
        sidecars=parse_beside("sidecars", raw, spec, where),
        request=parse_request(raw, where) if kind == "http" else None,
        daemon=flag(raw.get("daemon"), False, f"{where}.daemon"),
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
        memo=None if _has_own_cache(raw) or raw.get("daemon") else parse_memo(raw.get("memoize"), where),
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


def _has_own_cache(raw: Raw) -> bool:
    """Whether the template says that this machine's cache finds its outputs by all that decides them."""
    metadata = raw.get("metadata")
    notes = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(notes, dict) and notes.get(CACHE_ANNOTATION) == "true"


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
    fetched = next((kind for kind in sorted(FETCHED_INPUTS) if raw.get(kind)), None)
    return InputArtifact(
        raw["name"],
        path=optional_text(raw.get("path"), f"{where}.{raw['name']}.path"),
        raw=raw_data(raw, where),
        optional=flag(raw.get("optional"), False, f"{where}.{raw['name']}.optional"),
        mode=raw.get("mode"),
        fetched=fetched,
        location=raw[fetched] if fetched else {},
        unpacked="none" not in (raw.get("archive") or {}),
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

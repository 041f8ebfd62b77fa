"""From the dict of a YAML file to the model; every field on the way is known or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from argosy.declare.container import CACHE_ANNOTATION
from argosy.declare.merge import merged
from argosy.declare.retry import RETRY_POLICIES
from argosy.errors import LanguageError, ManifestError
from argosy.local.box import parse_box
from argosy.local.daemons import parse_probe
from argosy.local.fields import FETCHED_INPUTS, FIELD_PATHS
from argosy.local.kept import CONFIG_MAP, SECRET, Source
from argosy.local.model import (
    Arguments,
    Artifact,
    Call,
    Container,
    EnvFrom,
    EnvVar,
    Hook,
    Loop,
    Parameter,
    Retry,
    SetRetry,
    Template,
    Workflow,
)
from argosy.local.mounts import parse_mounts
from argosy.local.node import KINDS as TYPES
from argosy.local.patch import patched
from argosy.local.request import parse_request
from argosy.local.shape import Raw, check_fields, expect_mapping, named, positive
from argosy.local.shared import parse_locks, parse_memo
from argosy.local.texts import bare, duration
from argosy.manifest import expressions
from argosy.manifest.parts import spec_of
from argosy.manifest.reading import KINDS
from argosy.manifest.scalars import as_text, optional_text
from argosy.manifest.tags import parse
from argosy.text import nearest


def parse_workflow(manifest: Mapping[str, Any]) -> Workflow:
    """The workflow that a manifest describes; a CronWorkflow's is the one it would start.

    Raises ManifestError naming the template and field of what is malformed, unknown or impossible here.
    Templates that cannot be reached from the entrypoint or the exit handler are not looked at.
    """
    kind = expect_mapping(manifest, "the manifest").get("kind")
    if kind not in KINDS:
        raise ManifestError(f"kind {kind!r} is not one that can be run; one of {', '.join(KINDS)}")
    check_fields(manifest, kind, "")
    metadata, spec = manifest.get("metadata") or {}, expect_mapping(spec_of(manifest) or None, "spec")
    raw = {template["name"]: template for template in named(spec.get("templates"), "spec.templates")}
    if not isinstance(spec.get("entrypoint"), str):
        raise ManifestError(f"spec: no entrypoint; name one of the templates: {', '.join(raw) or 'none'}")
    on_exit = parse_hook(spec, "spec")
    hooks = parse_hooks(spec, "spec")
    handlers = [*([on_exit] if on_exit else []), *hooks.values()]
    templates = _reachable(raw, spec, [spec["entrypoint"], *(hook.template for hook in handlers)])
    arguments = parse_arguments(spec.get("arguments"), "spec.arguments")
    deadline = spec.get("activeDeadlineSeconds")
    name = optional_text(metadata.get("name"))
    return Workflow(
        name=name if kind == "Workflow" else None,
        generate_name=optional_text(metadata.get("generateName"))
        if kind == "Workflow"
        else name and f"{name}-",
        namespace=optional_text(metadata.get("namespace")) or "default",
        labels=_texts(metadata.get("labels")),
        annotations=_texts(metadata.get("annotations")),
        entrypoint=spec["entrypoint"],
        parameters=_parameters((spec.get("arguments") or {}).get("parameters"), "spec.arguments.parameters"),
        artifacts=arguments.artifacts,
        templates=templates,
        on_exit=on_exit,
        hooks=hooks,
        locks=parse_locks(spec.get("synchronization"), "spec"),
        deadline=None if deadline is None else duration(deadline, "spec.activeDeadlineSeconds"),
        parallelism=positive(spec.get("parallelism"), "spec.parallelism"),
        service_account=str(spec.get("serviceAccountName") or "default"),
        priority=str(spec.get("priority") or 0),
    )


def _reachable(raw: dict[str, Raw], spec: Raw, roots: list[str]) -> dict[str, Template]:
    parsed: dict[str, Template] = {}
    wanted = [(name, "spec") for name in roots]
    while wanted:
        name, user = wanted.pop(0)
        if name in parsed:
            continue
        if name not in raw:
            raise ManifestError(f"{user}: there is no template '{name}'{nearest(name, raw)}")
        template, inline = parse_template(_with_defaults(raw[name], spec), spec)
        raw.update(inline)
        parsed[name] = template
        for call in template.calls:
            wanted += [(called, f"template '{name}', '{call.name}'") for called in call.called]
    return parsed


def _with_defaults(raw: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A template with the workflow's defaults; those for retries and time are for programs only."""
    defaults = dict(spec.get("templateDefaults") or {})
    if spec.get("retryStrategy"):
        defaults["retryStrategy"] = spec["retryStrategy"]
    composed = "dag" in raw or "steps" in raw or "suspend" in raw
    skipped = {"container", "script", "dag", "steps", "suspend", "http"} - raw.keys()
    for field in skipped | ({"retryStrategy", "timeout", "activeDeadlineSeconds"} if composed else set()):
        defaults.pop(field, None)
    return merged(defaults, raw)


def _texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(key): as_text(value) for key, value in (values or {}).items()}


def parse_template(raw: Raw, spec: Raw) -> tuple[Template, dict[str, Raw]]:
    """The template, and the templates written inline in its tasks, by the names they are given."""
    where = f"template '{raw['name']}'"
    raw = patched(raw, spec, where)
    check_fields(raw, "Template", where)
    types = [kind for kind in TYPES if raw.get(kind) is not None]
    if len(types) != 1:
        raise ManifestError(
            f"{where}: exactly one of {', '.join(TYPES)} is needed, not {' and '.join(types) or 'none'}"
        )
    kind, body = types[0], raw[types[0]]
    inputs, outputs = raw.get("inputs") or {}, raw.get("outputs") or {}
    inline: dict[str, Raw] = {}
    groups = body if kind == "steps" else [body.get("tasks") or ()] if kind == "dag" else []
    named([item for group in groups for item in group], f"{where} {kind}")
    containers = parse_set(raw, spec, where) if kind == "containerSet" else ()
    main = next((container for container in containers if container.name == "main"), (*containers, None)[0])
    if kind in ("container", "script"):
        main = parse_container(body, raw, spec, where)
    template = Template(
        name=raw["name"],
        kind=kind,
        parameters=_parameters(inputs.get("parameters"), f"{where} inputs"),
        artifacts=_artifacts(inputs.get("artifacts"), f"{where} inputs"),
        outputs=_parameters(outputs.get("parameters"), f"{where} outputs"),
        output_artifacts=_artifacts(outputs.get("artifacts"), f"{where} outputs"),
        container=main,
        containers=containers,
        set_retry=_set_retry(body, where) if containers else SetRetry(),
        init_containers=parse_beside("initContainers", raw, spec, where),
        sidecars=parse_beside("sidecars", raw, spec, where),
        request=parse_request(raw, where) if kind == "http" else None,
        daemon=bool(raw.get("daemon")),
        groups=tuple(tuple(parse_call(item, raw["name"], inline) for item in group) for group in groups),
        results=frozenset(_results(raw)) if groups else frozenset(),
        retry=parse_retry(raw.get("retryStrategy"), where),
        timeout=optional_text(raw.get("timeout")),
        deadline=optional_text(raw.get("activeDeadlineSeconds")),
        parallelism=positive(raw.get("parallelism"), f"{where}.parallelism"),
        fail_fast=bool(raw.get("failFast")),
        locks=parse_locks(raw.get("synchronization"), where),
        memo=None if _has_own_cache(raw) or raw.get("daemon") else parse_memo(raw.get("memoize"), where),
        suspended=optional_text(body.get("duration") or "") if kind == "suspend" else None,
        dag_fail_fast=kind != "dag" or body.get("failFast") is not False,
        target=str(body.get("target") or "") if kind == "dag" else "",
    )
    _refuse_unmade(outputs, where)
    for field, value in (("timeout", template.timeout), ("activeDeadlineSeconds", template.deadline)):
        if value and not template.is_leaf:
            raise ManifestError(
                f"{where}: '{field}' belongs to container and script templates; put it on the tasks' own, "
                "or activeDeadlineSeconds on the workflow"
            )
    return template, inline


def _results(value: Any, field: str = "") -> Iterator[str]:
    """The names that are read by the tags below a value, and by the expressions, where a result is."""
    if isinstance(value, str) and "result" in value:
        yield from parse(f"{{{{={value}}}}}" if field in ("expression", "fromExpression") else value).names
    elif isinstance(value, Mapping):
        yield from (name for key, inside in value.items() for name in _results(inside, key))
    elif isinstance(value, list):
        yield from (name for inside in value for name in _results(inside))


def _has_own_cache(raw: Raw) -> bool:
    """Whether the template says that this machine's cache finds its outputs by all that decides them."""
    metadata = raw.get("metadata")
    notes = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(notes, dict) and notes.get(CACHE_ANNOTATION) == "true"


def _parameters(raw: Any, where: str) -> tuple[Parameter, ...]:
    """Declared parameters, in order."""
    return tuple(_parameter(item) for item in named(raw, where))


def _parameter(raw: Raw) -> Parameter:
    source = raw.get("valueFrom") or {}
    return Parameter(
        raw["name"],
        value=optional_text(raw.get("value")),
        default=optional_text(source.get("default", raw.get("default"))),
        enum=_words(raw, "enum"),
        path=optional_text(source.get("path")),
        parameter=optional_text(source.get("parameter")),
        expression=optional_text(source.get("expression")) or None,
        global_name=optional_text(raw.get("globalName")),
    )


def _artifacts(raw: Any, where: str) -> tuple[Artifact, ...]:
    return tuple(_artifact(item) for item in named(raw, where))


def _artifact(raw: Raw) -> Artifact:
    fetched = next((kind for kind in sorted(FETCHED_INPUTS) if raw.get(kind)), None)
    return Artifact(
        raw["name"],
        path=optional_text(raw.get("path")),
        source=optional_text(raw.get("from")),
        expression=optional_text(raw.get("fromExpression")) or None,
        raw=None if raw.get("raw") is None else as_text(raw["raw"].get("data", "")),
        sub_path=optional_text(raw.get("subPath")),
        optional=bool(raw.get("optional")),
        mode=raw.get("mode"),
        fetched=fetched,
        location=raw[fetched] if fetched else {},
        unpacked="none" not in (raw.get("archive") or {}),
        global_name=optional_text(raw.get("globalName")),
    )


def _refuse_unmade(outputs: Raw, where: str) -> None:
    """Raise ManifestError for an output that nothing makes."""
    for raw in outputs.get("parameters") or ():
        source = raw.get("valueFrom") or {}
        made = any(source.get(kind) for kind in ("path", "parameter", "expression"))
        if not made and source.get("supplied") is None and _parameter(raw).default is None:
            raise ManifestError(
                f"{where} outputs.{raw['name']}: valueFrom needs a path (of a file), a parameter (of a task) "
                "or an expression"
            )
    for raw in outputs.get("artifacts") or ():
        if not (raw.get("path") or raw.get("from") or raw.get("fromExpression")):
            raise ManifestError(
                f"{where} outputs.{raw['name']}: an artifact needs a path (of a file or folder) or a from "
                "(of a task)"
            )


def parse_retry(raw: Any, where: str) -> Retry | None:
    """A retryStrategy, with Argo's default policy."""
    if raw is None:
        return None
    backoff = raw.get("backoff") or {}
    where = f"{where} retryStrategy"
    policy = raw.get("retryPolicy") or ("Always" if raw.get("expression") else "OnFailure")
    if policy not in RETRY_POLICIES:
        raise ManifestError(f"{where}: {policy!r} is no retryPolicy; one of {', '.join(RETRY_POLICIES)}")
    expression = optional_text(raw.get("expression"))
    try:
        if expression is not None:
            expressions.check(parse(bare(expression)).filled("1"))
    except LanguageError as error:
        raise ManifestError(f"{where}: {error}") from error

    def length(field: str) -> float | None:
        return duration(backoff[field], f"{where}.{field}") if backoff.get(field) is not None else None

    return Retry(
        limit=optional_text(raw.get("limit")),
        policy=policy,
        expression=expression,
        duration=length("duration") if backoff else 0.0,
        factor=float(as_text(backoff.get("factor", 1) or 1)),
        max_duration=length("maxDuration"),
        cap=length("cap"),
    )


def parse_container(
    body: Mapping[str, Any], raw: Mapping[str, Any], spec: Mapping[str, Any], where: str
) -> Container:
    """The program, and what a container engine is told of it. Raises ManifestError."""
    source = body.get("source") if raw.get("script") is not None else None
    return Container(
        command=_words(body, "command"),
        args=_words(body, "args"),
        env=tuple(_env(item, where) for item in body.get("env") or ()),
        env_from=tuple(_env_from(item, where) for item in body.get("envFrom") or ()),
        working_dir=optional_text(body.get("workingDir")),
        source=optional_text(source),
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
        shared = body.get("volumeMounts") or ()
        own = item.get("volumeMounts") or ()
        container = parse_container({**item, "volumeMounts": [*own, *shared]}, raw, spec, place)
        found.append(replace(container, name=item["name"], dependencies=_words(item, "dependencies")))
    if not found:
        raise ManifestError(f"{where}: a containerSet needs containers")
    return tuple(found)


def _set_retry(body: Mapping[str, Any], where: str) -> SetRetry:
    raw = body.get("retryStrategy") or {}
    where = f"{where}.containerSet.retryStrategy"
    attempts = optional_text(raw.get("retries"))
    if attempts is not None and attempts.lstrip("-").isdecimal() and int(attempts) < 1:
        raise ManifestError(
            f"{where}: with retries {attempts} Argo starts no container, and calls that a success: 1 is one "
            "attempt; or remove the retryStrategy"
        )
    return SetRetry(attempts or "1", optional_text(raw.get("duration")) or "0")


def _words(body: Mapping[str, Any], field: str) -> tuple[str, ...]:
    return tuple(as_text(word) for word in body.get(field) or ())


def _env(raw: Mapping[str, Any], where: str) -> EnvVar:
    name = as_text(raw.get("name"))
    source = raw.get("valueFrom") or {}
    if field := (source.get("fieldRef") or {}).get("fieldPath"):
        if field not in FIELD_PATHS:
            raise ManifestError(
                f"{where}: env '{name}' takes {field}, which is not known here: {', '.join(FIELD_PATHS)}"
            )
        return EnvVar(name, field_path=field)
    for kind, noun in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
        if reference := source.get(kind):
            return EnvVar(name, source=Source.of(noun, reference), optional=bool(reference.get("optional")))
    return EnvVar(name, value=optional_text(raw.get("value")) or "")


def _env_from(raw: Mapping[str, Any], where: str) -> EnvFrom:
    prefix = optional_text(raw.get("prefix")) or ""
    for kind, noun in (("secretRef", SECRET), ("configMapRef", CONFIG_MAP)):
        if reference := raw.get(kind):
            return EnvFrom(noun, str(reference.get("name")), prefix, bool(reference.get("optional")))
    raise ManifestError(f"{where}: envFrom needs a secretRef or a configMapRef")


def parse_call(raw: Raw, parent: str, inline: dict[str, Raw]) -> Call:
    where = f"template '{parent}', '{raw['name']}'"
    template = raw.get("template")
    if raw.get("inline"):
        template = f"{parent}.{raw['name']}"
        inline[template] = {**raw["inline"], "name": template}
    if not isinstance(template, str):
        raise ManifestError(f"{where}: no template is named")
    continues = raw.get("continueOn") or {}
    return Call(
        name=raw["name"],
        template=template,
        arguments=parse_arguments(raw.get("arguments"), where),
        dependencies=_words(raw, "dependencies"),
        depends=optional_text(raw.get("depends")) or None,
        when=optional_text(raw.get("when")) or None,
        loop=_loop(raw, where),
        continue_on_failed=bool(continues.get("failed")),
        continue_on_error=bool(continues.get("error")),
        exit_hook=parse_hook(raw, where),
        hooks=parse_hooks(raw, where),
    )


def _loop(raw: Raw, where: str) -> Loop | None:
    if raw.get("withItems"):  # an empty list is no loop: the call runs once
        return Loop(items=tuple(raw["withItems"]))
    if raw.get("withParam") is not None:
        return Loop(param=as_text(raw["withParam"]))
    if raw.get("withSequence") is None:
        return None
    sequence = _texts({key: part for key, part in raw["withSequence"].items() if part is not None})
    if ("count" in sequence) == ("end" in sequence):
        raise ManifestError(f"{where}: withSequence needs either count or end")
    return Loop(sequence=sequence)


def parse_arguments(raw: Any, where: str) -> Arguments:
    """The arguments; a parameter without a value is left to the callee's default."""
    given = raw or {}
    parameters = {
        item["name"]: as_text(item["value"])
        for item in named(given.get("parameters"), where)
        if item.get("value") is not None
    }
    return Arguments(parameters, {a.name: a for a in _artifacts(given.get("artifacts"), where)})


def parse_hook(raw: Raw, where: str) -> Hook | None:
    """The exit handler of a workflow, task or step: `onExit`, else `hooks.exit` (Argo's GetExitHook)."""
    if raw.get("onExit"):
        return Hook(as_text(raw["onExit"]))
    hook = (raw.get("hooks") or {}).get("exit")
    return _hook(hook, f"{where} hooks.exit") if hook else None


def parse_hooks(raw: Raw, where: str) -> dict[str, Hook]:
    """The other hooks of a workflow, task or step."""
    hooks = (raw.get("hooks") or {}).items()
    return {name: _hook(hook, f"{where} hooks.{name}") for name, hook in hooks if name != "exit"}


def _hook(raw: Any, where: str) -> Hook:
    if not isinstance(raw.get("template"), str):
        raise ManifestError(f"{where} needs a template")
    expression = optional_text(raw.get("expression")) or None
    return Hook(raw["template"], parse_arguments(raw.get("arguments"), where), expression)

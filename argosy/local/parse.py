"""From the dict of a YAML file to the model; every field on the way is known or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argosy.declare.merge import merged
from argosy.errors import ManifestError
from argosy.local.fields import CRON_FIELDS
from argosy.local.locks import parse_locks
from argosy.local.model import Template, Workflow
from argosy.local.parse_call import parse_arguments, parse_hook, parse_hooks, positive
from argosy.local.parse_template import parse_inputs, parse_template
from argosy.local.shape import check_fields, duration, expect_list, expect_mapping, text_of
from argosy.text import nearest

KINDS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")


def parse_workflow(manifest: Mapping[str, Any]) -> Workflow:
    """The workflow that a manifest describes; a CronWorkflow's is the one it would start.

    Raises ManifestError naming the template and field of what is malformed, unknown or impossible here.
    Templates that cannot be reached from the entrypoint or the exit handler are not looked at.
    """
    manifest = expect_mapping(manifest, "the manifest")
    kind = manifest.get("kind")
    if kind not in KINDS:
        raise ManifestError(f"kind {kind!r} is not one that can be run; one of {', '.join(KINDS)}")
    metadata = expect_mapping(manifest.get("metadata") or {}, "metadata")
    spec = _spec(manifest, kind)
    check_fields(spec, "workflow", "spec")
    if not isinstance(spec.get("entrypoint"), str):
        raise ManifestError(
            f"spec: no entrypoint; name one of the templates: {', '.join(_templates(spec)) or 'none'}"
        )
    on_exit = parse_hook(spec, "spec")
    hooks = parse_hooks(spec, "spec")
    handlers = [*([on_exit] if on_exit else []), *hooks.values()]
    templates = _reachable(spec, [spec["entrypoint"], *(hook.template for hook in handlers)])
    arguments = parse_arguments(spec.get("arguments"), "spec.arguments")
    deadline = spec.get("activeDeadlineSeconds")
    name = _text(metadata, "name")
    return Workflow(
        name=name if kind == "Workflow" else None,
        generate_name=_text(metadata, "generateName") if kind == "Workflow" else name and f"{name}-",
        namespace=_text(metadata, "namespace") or "default",
        labels=_texts(metadata, "labels"),
        annotations=_texts(metadata, "annotations"),
        entrypoint=spec["entrypoint"],
        parameters=parse_inputs((spec.get("arguments") or {}).get("parameters"), "spec.arguments.parameters"),
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


def _spec(manifest: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    check_fields(dict.fromkeys(manifest), "manifest", "the manifest")
    spec = expect_mapping(manifest.get("spec"), "spec")
    if kind != "CronWorkflow":
        return spec
    unknown = next((field for field in spec if field not in CRON_FIELDS), None)
    if unknown:
        raise ManifestError(f"spec: no field '{unknown}'{nearest(unknown, CRON_FIELDS)}")
    return expect_mapping(spec.get("workflowSpec"), "spec.workflowSpec")


def _templates(spec: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for index, raw in enumerate(expect_list(spec.get("templates"), "spec.templates")):
        name = expect_mapping(raw, f"spec.templates[{index}]").get("name")
        if not isinstance(name, str):
            raise ManifestError(f"spec.templates[{index}]: a template needs a name")
        if name in found:
            raise ManifestError(f"template '{name}' is declared twice")
        found[name] = raw
    return found


def _reachable(spec: Mapping[str, Any], roots: list[str]) -> dict[str, Template]:
    raw = _templates(spec)
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
            wanted.append((call.template, f"template '{name}', '{call.name}'"))
            for hook in call.all_hooks:
                wanted.append((hook.template, f"template '{name}', hook of '{call.name}'"))
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


def _text(mapping: Mapping[str, Any], field: str) -> str | None:
    value = mapping.get(field)
    return None if value is None else text_of(value, f"metadata.{field}")


def _texts(mapping: Mapping[str, Any], field: str) -> dict[str, str]:
    values = expect_mapping(mapping.get(field) or {}, f"metadata.{field}")
    return {str(key): text_of(value, f"metadata.{field}.{key}") for key, value in values.items()}

"""The manifest of what a script composed, with what it set by `couler.config_workflow`."""

from collections.abc import Mapping
from typing import Any

from argosy.compose.compiler import EXIT_HANDLER, templates_of
from argosy.compose.composition import Composition
from argosy.compose.settings import Settings
from argosy.errors import ComposeError
from argosy.lint.schema import conformed
from argosy.step.interface import ENTRYPOINT

# Made anew here; the rest of Couler's spec is kept.
_OURS = ("entrypoint", "onExit", "templates", "ttlSecondsAfterFinished", "workflowSpec")
_CRON_KEYS = ("schedule", "suspend", "workflowSpec")


def script_manifest(composition: Composition) -> dict[str, Any]:
    """The manifest of a finished composition, with the installation's settings laid under it.

    A Workflow, or a CronWorkflow where the program gave a schedule.

    Raises:
        ComposeError: there is no step, or one has a name that the workflow needs for itself.
    """
    if not composition.tasks:
        raise ComposeError("the program composes no step")
    settings = Settings.find()
    spec = settings.under(_spec(composition))
    raw = composition.manifest
    if raw["kind"] == "CronWorkflow":
        spec = {**_schedule(raw["spec"]), "workflowSpec": spec}
    manifest = {
        "apiVersion": raw["apiVersion"],
        "kind": raw["kind"],
        "metadata": _metadata(raw["metadata"], settings),
        "spec": spec,
    }
    return settings.over(conformed(manifest, raw["kind"]))


def _metadata(raw: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    place = {"namespace": settings.namespace} if settings.namespace else {}
    return {**raw, **place, "labels": {"app.kubernetes.io/managed-by": "argosy", **raw.get("labels", {})}}


def _spec(composition: Composition) -> dict[str, Any]:
    raw = composition.spec
    spec: dict[str, Any] = {"entrypoint": ENTRYPOINT}
    if composition.exit_tasks:
        spec["onExit"] = EXIT_HANDLER
    spec |= {key: value for key, value in raw.items() if key not in _OURS and value}
    if seconds := raw.get("ttlSecondsAfterFinished"):
        spec["ttlStrategy"] = {"secondsAfterCompletion": seconds}
    spec["templates"] = templates_of(composition)
    _check_names([t["name"] for t in spec["templates"]])
    return spec


def _check_names(names: list[str]) -> None:
    for name in (ENTRYPOINT, EXIT_HANDLER):
        if names.count(name) > 1:
            raise ComposeError(
                f"a step is called '{name}', as a part of the workflow itself; rename the step"
            )


def _schedule(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Couler's cron part in the form that Argo reads since 3.6."""
    spec: dict[str, Any] = {"schedules": [raw["schedule"]]}
    spec |= {key: value for key, value in raw.items() if key not in _CRON_KEYS}
    policy = spec.get("concurrencyPolicy")
    if policy:
        spec["concurrencyPolicy"] = str(policy).strip('"')
    if str(raw.get("suspend", "")).lower() == "true":
        spec["suspend"] = True
    return spec

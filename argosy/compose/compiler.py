"""From a pipeline to the manifest that Argo runs."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from argosy.compose.given import LOCAL_PARAMETERS, Unquoted, fitting
from argosy.compose.settings import Settings
from argosy.declare.merge import merged, plain
from argosy.declare.pipeline import Pipeline
from argosy.declare.signature import where
from argosy.errors import ComposeError, UsageError
from argosy.manifest import emit
from argosy.manifest.emit import to_yaml
from argosy.manifest.parts import spec_of
from argosy.step.interface import ENTRYPOINT, EXIT_HANDLER, Interface, Port

if TYPE_CHECKING:
    from argosy.compose.environments import Place

API_VERSION = "argoproj.io/v1alpha1"

Kind = Literal["Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"]
KINDS: tuple[str, ...] = get_args(Kind)


@emit.paused()
def compile(
    pipeline: Pipeline[Any, Any], kind: Kind = "Workflow", settings: Settings | None = None
) -> dict[str, Any]:
    """The manifest of a pipeline, with an installation's settings laid under it.

    The entrypoint takes the parameters as inputs with defaults, so that it can be called by
    `templateRef` as well as submitted.

    Raises:
        ComposeError: the program calls a component, or uses an output, wrongly.
        UsageError: `kind` is not one of `KINDS`, or a CronWorkflow is wanted of a pipeline without schedule.
    """
    from argosy.compose.composition import Composition
    from argosy.compose.references import ParameterRef

    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a kind; there is: {', '.join(KINDS)}")
    if kind == "CronWorkflow" and pipeline.spec.schedule is None:
        raise UsageError(f"{pipeline.interface.name} has no schedule; a CronWorkflow needs one")
    settings = settings or Settings()
    parameters = {p.name: ParameterRef(p) for p in pipeline.interface.inputs}
    composition = Composition.of(lambda: pipeline.composed(parameters))
    if not composition.tasks:
        raise ComposeError(
            f"{where(pipeline.function)}: the pipeline '{pipeline.interface.name}' has no step; call a "
            "component in it, or a step of Couler's"
        )
    manifest = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": _metadata(pipeline, kind),
        "spec": _scheduled(pipeline, kind, _spec(pipeline, composition)),
    }
    manifest = settings.around(manifest)
    _check_settings(pipeline.interface, settings.given(manifest), settings.places(manifest))
    return manifest


def _check_settings(interface: Interface, given: Mapping[str, str], places: Mapping[str, "Place"]) -> None:
    """Raise UsageError, with its place, for a value of the settings that is not the parameter's as it is."""
    for name, laid in given.items():
        written = places[name].written or laid
        try:
            (value,) = fitting(interface, {name: Unquoted(written, laid)}).values()
        except UsageError as error:
            raise places[name].error(str(error)) from None
        if value == written != laid:
            raise places[name].error(f"{written} is read as {laid}; put it into quotes")
        if value != laid:
            raise places[name].error(f"parameter '{name}' is {laid!r} here; write {value!r}")


def components_of(pipeline: Pipeline[Any, Any]) -> dict[str, Any]:
    """The components that a pipeline calls, by the names of their templates."""
    from argosy.compose.composition import Composition
    from argosy.compose.references import ParameterRef

    parameters = {p.name: ParameterRef(p) for p in pipeline.interface.inputs}
    return Composition.of(lambda: pipeline.composed(parameters)).components


_TEMPLATE = re.compile(r"\btemplates\[(\d+)\](?:\.dag\.tasks\[(\d+)\])?")


def place_of(pipeline: Pipeline[Any, Any], manifest: Mapping[str, Any], path: str) -> str:
    """The user's line that a place of the manifest comes from: a step's call, a component or the pipeline.

    The program runs once more for it.
    """
    from argosy.compose.composition import Composition
    from argosy.compose.references import ParameterRef

    match = _TEMPLATE.search(path)
    templates = spec_of(manifest).get("templates") or []
    if match is None or int(match[1]) >= len(templates):
        return where(pipeline.function)
    template = templates[int(match[1])]
    parameters = {p.name: ParameterRef(p) for p in pipeline.interface.inputs}
    found = Composition.of(lambda: pipeline.composed(parameters))
    scopes = {
        ENTRYPOINT: found.tasks,
        EXIT_HANDLER: found.exit_tasks,
        **{g.name: g.tasks for g in found.groups},
    }
    if match[2]:
        name = template["dag"]["tasks"][int(match[2])]["name"]
        task = scopes.get(template["name"], {}).get(name)
        return task.site if task else where(pipeline.function)
    if component := found.components.get(template["name"]):
        return where(component.function)
    calls = (t.site for tasks in scopes.values() for t in tasks.values() if t.template == template["name"])
    return next(calls, where(pipeline.function))


def _scheduled(pipeline: Pipeline[Any, Any], kind: Kind, spec: dict[str, Any]) -> dict[str, Any]:
    schedule = pipeline.spec.schedule
    if kind != "CronWorkflow" or schedule is None:
        return spec
    return {**schedule.to_dict(), "workflowSpec": spec}


def _metadata(pipeline: Pipeline[Any, Any], kind: Kind) -> dict[str, Any]:
    interface, spec = pipeline.interface, pipeline.spec
    name = {"generateName": f"{interface.name}-"} if kind == "Workflow" else {"name": interface.name}
    annotations = dict(spec.annotations)
    if interface.summary:
        annotations.setdefault("workflows.argoproj.io/description", interface.summary)
    if spec.local:
        annotations[LOCAL_PARAMETERS] = to_yaml(_local_values(pipeline))
    labels = {"app.kubernetes.io/managed-by": "argosy", **spec.labels}
    return {**name, "labels": labels, **({"annotations": annotations} if annotations else {})}


def _local_values(pipeline: Pipeline[Any, Any]) -> dict[str, str]:
    local = pipeline.spec.local
    return {p.argo_name: p.type.plain(local[p.name]) for p in pipeline.interface.inputs if p.name in local}  # type: ignore[union-attr]


# The fields of the whole workflow that Couler's own verbs set.
FROM_COULER = (
    "volumes",
    "volumeClaimTemplates",
    "securityContext",
    "affinity",
    "tolerations",
    "dnsPolicy",
    "dnsConfig",
    "imagePullSecrets",
)


def _spec(pipeline: Pipeline[Any, Any], composition: Any) -> dict[str, Any]:
    from argosy.lint.schema import conformed

    own = pipeline.spec
    raw = composition.spec
    spec: dict[str, Any] = {"entrypoint": ENTRYPOINT}
    if composition.exit_tasks:
        spec["onExit"] = EXIT_HANDLER
    if account := own.service_account or raw.get("serviceAccountName"):
        spec["serviceAccountName"] = account
    if pipeline.interface.inputs:
        spec["arguments"] = {"parameters": [_argument(p) for p in pipeline.interface.inputs]}
    if timeout := own.timeout or raw.get("activeDeadlineSeconds"):
        spec["activeDeadlineSeconds"] = conformed(timeout, "i")
    if own.parallelism:
        spec["parallelism"] = own.parallelism
    if own.mutex:
        spec["synchronization"] = {"mutexes": [{"name": own.mutex}]}
    if own.ttl:
        spec["ttlStrategy"] = own.ttl.to_dict()
    if own.pod_gc:
        spec["podGC"] = {"strategy": own.pod_gc}
    for key in FROM_COULER:
        if raw.get(key):
            spec[key] = raw[key]
    spec = merged(spec, own.spec)
    outputs = _outputs(pipeline, composition)  # first: a loop declares what is read of it
    spec["templates"] = templates_of(composition, pipeline.interface.inputs)
    if outputs:
        main = spec["templates"][0]
        dag = main.pop("dag")
        main |= {"outputs": outputs, "dag": dag}
    return spec


def _argument(port: Port) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": port.argo_name}
    if port.description:
        entry["description"] = port.description
    if not port.required:
        entry["value"] = port.comparable_default
    if getattr(port.type, "choices", ()):
        entry["enum"] = list(port.type.choices)  # type: ignore[union-attr]
    return entry


def _outputs(pipeline: Pipeline[Any, Any], composition: Any) -> dict[str, Any]:
    """The entrypoint's outputs, each the output of a task."""
    from argosy.compose.binding import refuse_other_type
    from argosy.compose.references import TaskHandle, couler_output_text

    ports, result = pipeline.interface.outputs, composition.result
    # A step may be returned as it is, if it has these outputs.
    named = (
        result._outputs
        if isinstance(result, TaskHandle)
        else {p.name: getattr(result, p.name, None) for p in ports}
    )
    values = {port.name: named.get(port.name) for port in ports}
    for port in ports:
        refuse_other_type(pipeline.interface, port, values[port.name], where(pipeline.function))
    sources = {name: couler_output_text(value) for name, value in values.items()}
    missing = next((name for name, source in sources.items() if source is None), None)
    if missing:
        raise ComposeError(
            f"{where(pipeline.function)}: {pipeline.interface.name}(): its output '{missing}' is not the "
            f"output of a step; return {pipeline.interface.result}({missing}=step.output)"
        )
    parameters = [_output(p, sources[p.name], composition.tasks) for p in ports if not p.is_artifact]
    artifacts = [
        {"name": p.argo_name, "from": sources[p.name], **({"optional": True} if p.optional else {})}
        for p in ports
        if p.is_artifact
    ]
    return {k: v for k, v in (("parameters", parameters), ("artifacts", artifacts)) if v}


def _output(port: Port, source: str | None, tasks: Mapping[str, Any]) -> dict[str, Any]:
    from argosy.compose.tags import tasks_in

    value_from = {"parameter": source, **({} if port.required else {"default": port.comparable_default})}
    if any("withParam" in tasks[name].items for name in tasks_in(source or "") if name in tasks):
        value_from.setdefault("default", "[]")  # a loop over nothing makes no output
    return {"name": port.argo_name, "valueFrom": value_from}


def templates_of(composition: Any, inputs: tuple[Port, ...] = ()) -> list[dict[str, Any]]:
    """The templates of a composition: entrypoint, exit handler, bodies of loops, steps."""
    from argosy.lint.schema import conformed

    templates = [_dag(ENTRYPOINT, inputs, composition.tasks)]
    if composition.exit_tasks:
        templates.append(_dag(EXIT_HANDLER, _used(inputs, composition.exit_tasks), composition.exit_tasks))
    templates += [group.to_dict() for group in composition.groups]
    # Couler's own templates of steps are those that the DAGs here take the place of.
    steps = [t for t in composition.spec["templates"] if "steps" not in t and "dag" not in t]
    return templates + [conformed(_cleaned(t), "Template") for t in steps]


def _used(ports: tuple[Port, ...], tasks: Mapping[str, Any]) -> list[Port]:
    text = str([(t.parameters, t.conditions) for t in tasks.values()])
    return [p for p in ports if f"{{{{inputs.parameters.{p.argo_name}}}}}" in text]


def _dag(name: str, ports: Sequence[Port], tasks: Mapping[str, Any]) -> dict[str, Any]:
    template: dict[str, Any] = {"name": name}
    if ports:
        template["inputs"] = {"parameters": [_input(p) for p in ports]}
    template["dag"] = {"tasks": [task.to_dict(tasks) for task in tasks.values()]}
    return template


def _input(port: Port) -> dict[str, Any]:
    return {"name": port.argo_name, **({} if port.required else {"value": port.comparable_default})}


def _cleaned(template: dict[str, Any]) -> dict[str, Any]:
    """A template of Couler's own: plain mappings, no quotes in its arguments, no margin around a script."""
    from argosy.compose.couler_steps import own_inputs, repair_outputs, unquoted, written

    template = own_inputs(written(plain(template), template["name"]))
    container = template.get("container") or template.get("script")
    if container and container.get("args"):
        container["args"] = [unquoted(a) for a in container["args"]]
    if "script" in template:
        template["script"]["source"] = template["script"]["source"].strip("\n") + "\n"
    for variable in (container or {}).get("env", ()):
        if variable.get("value") in ("'True'", "'False'"):  # Couler's quotes, for a serialiser that took them
            variable["value"] = variable["value"].strip("'")
    repair_outputs(template)
    return template

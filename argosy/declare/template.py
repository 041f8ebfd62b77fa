"""From a component to its Argo template."""

from typing import Any

from argosy.declare.component import Component
from argosy.declare.container import CACHE_ANNOTATION, CODE_ANNOTATION, WORLD_ANNOTATION, ContainerSpec
from argosy.declare.merge import merged
from argosy.declare.pod import env_entry
from argosy.step.arguments import OPTIONAL
from argosy.step.interface import INPUTS_DIR, OUTPUTS_DIR, Interface, Port

PACKAGES_ANNOTATION = "argosy.dev/packages"
"""The packages of a component, a line each."""


def render_template(component: Component[Any, Any], name: str) -> dict[str, Any]:
    """The template, complete, with its keys in reading order."""
    if component.work is not None:
        return {"name": name, **component.work}
    interface, spec = component.interface, component.container
    template: dict[str, Any] = {"name": name}
    if metadata := _metadata(spec):
        template["metadata"] = metadata
    if interface.inputs:
        template["inputs"] = _ports(interface.inputs, _input_parameter, INPUTS_DIR)
    if interface.outputs:
        template["outputs"] = _ports(interface.outputs, _output_parameter, OUTPUTS_DIR)
    if spec.retry:
        template["retryStrategy"] = spec.retry.to_dict()
    if spec.timeout:
        template["activeDeadlineSeconds"] = spec.timeout
    if spec.node_selector:
        template["nodeSelector"] = dict(spec.node_selector)
    if spec.tolerations:
        template["tolerations"] = [t.to_dict() for t in spec.tolerations]
    if spec.volumes:
        template["volumes"] = [v.to_volume() for v in spec.volumes]
    template["container"] = _container(component)
    return merged(template, spec.template)


def _metadata(spec: ContainerSpec) -> dict[str, Any]:
    annotations = {**spec.annotations, **({CODE_ANNOTATION: spec.code} if spec.code else {})}
    if spec.packages:
        annotations[PACKAGES_ANNOTATION] = "\n".join(spec.packages)
    marks = {CACHE_ANNOTATION: spec.cache, WORLD_ANNOTATION: spec.changes_world}
    annotations |= {name: "true" for name, on in marks.items() if on}
    pairs = {"labels": dict(spec.labels), "annotations": annotations}
    return {key: value for key, value in pairs.items() if value}


def _ports(ports: tuple[Port, ...], parameter: Any, directory: str) -> dict[str, Any]:
    parameters = [parameter(p) for p in ports if not p.is_artifact]
    artifacts = [_artifact(p, directory) for p in ports if p.is_artifact]
    return {k: v for k, v in (("parameters", parameters), ("artifacts", artifacts)) if v}


def _artifact(port: Port, directory: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": port.argo_name, "path": path_of(port, directory)}
    if port.optional:
        entry["optional"] = True
    return {**entry, **port.stored.to_dict()} if port.stored else entry


def path_of(port: Port, directory: str) -> str:
    """Where a port's file stands inside the container."""
    return port.file_name if port.file_name.startswith("/") else f"{directory}/{port.file_name}"


def _input_parameter(port: Port) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": port.argo_name}
    if not port.required:
        entry["value"] = port.default_text
    return entry


def _output_parameter(port: Port) -> dict[str, Any]:
    return {"name": port.argo_name, "valueFrom": {"path": path_of(port, OUTPUTS_DIR)}}


def _container(component: Component[Any, Any]) -> dict[str, Any]:
    spec = component.container
    container: dict[str, Any] = {"image": spec.image}
    if spec.image_pull_policy:
        container["imagePullPolicy"] = spec.image_pull_policy
    if command := component.command:  # without one the image's own entry point runs
        container["command"] = command
    words = component.arguments
    if args := (_arguments(component.interface) if words is None else words):
        container["args"] = args
    if spec.env:
        container["env"] = [env_entry(name, value) for name, value in spec.env.items()]
    if resources := spec.resources.to_dict():
        container["resources"] = resources
    if spec.security_context:
        container["securityContext"] = dict(spec.security_context)
    if spec.volumes:
        container["volumeMounts"] = [v.to_mount() for v in spec.volumes]
    return container


def _arguments(interface: Interface) -> list[str]:
    """One word an input: `--name=value` keeps a value that begins with a dash a value."""
    words = []
    for port in interface.inputs:
        source = f"artifacts.{port.argo_name}.path" if port.is_artifact else f"parameters.{port.argo_name}"
        option = f"{OPTIONAL}{port.argo_name}" if port.optional else port.argo_name
        words.append(f"--{option}={{{{inputs.{source}}}}}")
    for port in interface.outputs:
        kind = "artifacts" if port.is_artifact else "parameters"
        words.append(f"--output-{port.argo_name}={{{{outputs.{kind}.{port.argo_name}.path}}}}")
    return words

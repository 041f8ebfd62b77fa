"""`argosy export kfp`: a component of ours as a v1 component.yaml, which every KFP SDK loads."""

from dataclasses import fields
from typing import Any

from argosy.declare.component import Component
from argosy.declare.container import ContainerSpec
from argosy.errors import UsageError
from argosy.reuse.kfp_types import annotations, to_kfp
from argosy.reuse.loaded import LoadedComponent
from argosy.step.interface import Port

# The fields of a container that a component.yaml has; the rest is set on KFP's task.
_CARRIED = {"image", "env", "image_pull_policy"}


def kfp_component(component: Component[Any, Any]) -> dict[str, Any]:
    """The content of the component.yaml.

    Raises:
        UsageError: the component only refers to a template elsewhere, or came from KFP in the first place.
    """
    interface = component.interface
    if component.template_ref is not None:
        raise UsageError(f"{interface.name} is a template of another library; it has no container of its own")
    if isinstance(component, LoadedComponent):
        raise UsageError(f"{interface.name} comes from {component.origin}; use that file")
    text = "\n\n".join(t for t in (interface.summary, interface.description) if t)
    found: dict[str, Any] = {"name": interface.name, "description": text}
    found["inputs"] = [_input(p) for p in interface.inputs]
    found["outputs"] = [_port(p) for p in interface.outputs]
    found["implementation"] = {"container": _container(component)}
    return {key: value for key, value in found.items() if value}


def left_out(component: Component[Any, Any]) -> list[str]:
    """Names of what a component.yaml cannot say of this component's container."""
    spec, empty = component.container, ContainerSpec(image="none")
    names = [f.name for f in fields(spec) if f.name not in _CARRIED]
    changed = [n for n in names if getattr(spec, n) != getattr(empty, n)]
    return changed + [f"env {n}" for n, v in spec.env.items() if not isinstance(v, str)]


def _input(port: Port) -> dict[str, Any]:
    entry = _port(port)
    if not port.required:
        entry["optional"] = True
        if port.default is not None:
            entry["default"] = port.default_text
    return entry


def _port(port: Port) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": port.name, "type": to_kfp(port)}
    if port.description:
        entry["description"] = port.description
    if notes := annotations(port):
        entry["annotations"] = notes
    return entry


def _container(component: Component[Any, Any]) -> dict[str, Any]:
    spec = component.container
    found: dict[str, Any] = {"image": spec.image, "command": component.command}
    words = [_given(p) for p in component.interface.inputs]
    words += [_word(f"--output-{p.argo_name}=", {"outputPath": p.name}) for p in component.interface.outputs]
    if words:
        found["args"] = words
    if env := {name: value for name, value in spec.env.items() if isinstance(value, str)}:
        found["env"] = env
    return found


def _given(port: Port) -> dict[str, Any]:
    """An input's word; left out where the call gives nothing and the default is None."""
    source = {"inputPath" if port.is_artifact else "inputValue": port.name}
    word = _word(f"--{port.argo_name}=", source)
    if port.required or port.default is not None:
        return word
    return {"if": {"cond": {"isPresent": port.name}, "then": [word]}}


def _word(option: str, placeholder: dict[str, str]) -> dict[str, Any]:
    return {"concat": [option, placeholder]}

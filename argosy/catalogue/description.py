"""A component described as plain data: what every form of the catalogue prints."""

from typing import Any

from argosy.catalogue.discover import Entry
from argosy.declare.component import Component
from argosy.reuse.loaded import LoadedComponent
from argosy.step.interface import Port
from argosy.step.values import ValueType


def describe(entry: Entry) -> dict[str, Any]:
    """Everything that the declaration says, in Python's and in YAML's names."""
    component = entry.component
    interface = component.interface
    return {
        "name": interface.name,
        "summary": interface.summary,
        "description": interface.description,
        "import": f"from {entry.module} import {entry.name}",
        "inputs": [_input(p) for p in interface.inputs],
        "outputs": [_port(p) for p in interface.outputs],
        **_container(component),
    }


def _port(port: Port) -> dict[str, Any]:
    return {
        "name": port.argo_name,
        "python": port.name,
        "type": str(port.type),
        "artifact": port.is_artifact,
        "description": port.description,
    }


def _input(port: Port) -> dict[str, Any]:
    found = {**_port(port), "required": port.required}
    if not port.required:
        found["default"] = _default(port)
    return found


def _default(port: Port) -> str | None:
    """As text; None where the input may be left out, and whoever runs the step decides."""
    if port.default is None or not isinstance(port.type, ValueType):
        return None
    return port.default_text


def _container(component: Component[Any, Any]) -> dict[str, Any]:
    reference = component.template_ref
    if reference is not None:
        return {"templateRef": reference.to_dict()}
    spec = component.container
    found: dict[str, Any] = {"image": spec.image, "command": component.command}
    if isinstance(component, LoadedComponent):
        found["origin"] = component.origin
    extras = {
        "resources": spec.resources.to_dict(),
        "nodeSelector": dict(spec.node_selector),
        "tolerations": [t.to_dict() for t in spec.tolerations],
        "volumes": [{**v.to_volume(), "mountPath": v.mount_path} for v in spec.volumes],
        "env": sorted(spec.env),
        "retryStrategy": spec.retry.to_dict() if spec.retry else None,
        "activeDeadlineSeconds": spec.timeout,
    }
    return found | {key: value for key, value in extras.items() if value}

"""Couler's own steps, with its values put right."""

import re
from typing import Any

from argosy.compose.references import couler_output_text, tasks_in
from argosy.compose.tasks import Task

# Couler puts quotes inside its values, for a serialiser that used to take them off again.
_QUOTED = re.compile(r"""^(?:"(\{\{.*\}\})"|'(-?\d+(?:\.\d+)?|True|False)')$""", re.S)


def couler_task(name: str, entry: dict[str, Any], site: str) -> Task:
    """The task for an entry of Couler's table of tasks."""
    task = Task(name=name, template=entry["template"], site=site)
    arguments = entry.get("arguments", {})
    task.parameters = {p["name"]: unquoted(p["value"]) for p in arguments.get("parameters", ())}
    task.artifacts = {a["name"]: unquoted(a["from"]) for a in arguments.get("artifacts", ())}
    for text in (*task.parameters.values(), *task.artifacts.values()):
        task.needs.update(dict.fromkeys(tasks_in(text)))
    return task


def unquoted(value: Any) -> str:
    """A value of Couler's without the quotes that it put around it."""
    text = couler_output_text(value) or str(value)
    match = _QUOTED.match(text)
    return (match[1] or match[2]) if match else text


def repair_outputs(template: dict[str, Any]) -> None:
    """Put right, in place, what Couler declares of a template's outputs, and of a Kubernetes resource."""
    outputs = template.get("outputs", {})
    for port in (*outputs.get("parameters", ()), *outputs.get("artifacts", ())):
        # Declared as `global-NAME`, and referred to as `NAME`.
        if port.get("globalName") == f"global-{port['name']}":
            port["globalName"] = port["name"]
        for key in ("jsonPath", "jqFilter"):
            if key in port.get("valueFrom", {}):
                port["valueFrom"][key] = port["valueFrom"][key].strip('"')
    resource = template.get("resource", {})
    if "setOwnerReference" in resource:
        resource["setOwnerReference"] = str(resource["setOwnerReference"]).lower() == "true"

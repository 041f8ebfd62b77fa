"""Couler's own steps, with its values put right."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from couler.core.templates import OutputArtifact, OutputJob
from couler.core.templates.artifact import TypedArtifact
from couler.core.templates.output import Output

from argosy.compose.placeholders import Placeholder, refuse_unseen
from argosy.compose.references import TaskHandle, couler_output_text
from argosy.compose.tags import names_in, renamed, tasks_in
from argosy.compose.tasks import Task
from argosy.declare.merge import plain
from argosy.declare.source import call_site
from argosy.errors import ComposeError
from argosy.step.interface import ENTRYPOINT, EXIT_HANDLER
from argosy.step.values import SCALARS, unboxed

# Couler puts quotes inside its values, for a serialiser that used to take them off again.
_QUOTED = re.compile(r"""^(?:"(\{\{.*\}\})"|'(-?\d+(?:\.\d+)?|True|False)')$""", re.S)


def refuse_lost(call: Mapping[str, Any]) -> None:
    """Raise ComposeError for an argument that Couler would drop, or write as no one means it.

    `call` has the arguments by name, those of `run_container`, `run_script` or another verb.
    """
    for edges in call.get("dependency_graph") or ():
        if not isinstance(edges, list):
            raise ComposeError(
                f"{call_site()}: couler.dag takes lists of functions, and would drop {edges!r}: write "
                "[[lambda: step(...)]]"
            )
    args = call.get("args")
    listed = args if isinstance(args, list) else [] if args is None else [args]
    if len(listed) > 1 and isinstance(listed[0], list) and listed[0]:
        raise ComposeError(
            f"{call_site()}: the arguments of a step of Couler's begin with a whole step, and Couler would "
            "drop the others; name the outputs: args=[step[0], ...]"
        )
    for value in listed:
        if not (isinstance(value, list) and value and all(isinstance(v, Output) for v in value)):
            _refuse_no_text(value, "args")
    env = call.get("env")
    for name, value in env.items() if isinstance(env, dict) else ():
        _refuse_no_text(value, f"env: '{name}'")
    given = call.get("input")
    for value in given if isinstance(given, (list, tuple)) else [] if given is None else [given]:
        if not isinstance(value, (TypedArtifact, OutputArtifact, OutputJob)):
            raise ComposeError(
                f"{call_site()}: input: {value!r} is no artifact of Couler's, and Couler would drop it; "
                "give values to args, and files to a component's input declared as File"
            )
    name = call.get("step_name")
    if name is not None and (not isinstance(name, str) or "{{" in name):
        raise ComposeError(f"{call_site()}: step_name: {name!r} has to be a text of the program's own")
    if name in (ENTRYPOINT, EXIT_HANDLER):
        raise ComposeError(
            f"{call_site()}: step_name: {name!r} is a template that each workflow has by itself; take another"
        )


def _refuse_no_text(value: Any, what: str) -> None:
    if isinstance(value, TaskHandle):
        value._refuse(f"name one of them in {what}")
    if not isinstance(unboxed(value), (*SCALARS, Placeholder, Output)) and couler_output_text(value) is None:
        raise ComposeError(
            f"{call_site()}: {what}: {value!r} is no text; write '', or json.dumps(...) of a list or a dict"
        )


def couler_task(name: str, entry: dict[str, Any], template: Any, site: str) -> Task:
    """The task for an entry of Couler's table of tasks; its arguments hold what its template borrows, too."""
    task = Task(name=name, template=entry["template"], site=site)
    arguments = entry.get("arguments", {})
    task.parameters = {p["name"]: unquoted(p["value"]) for p in arguments.get("parameters", ())}
    task.artifacts = {a["name"]: unquoted(a["from"]) for a in arguments.get("artifacts", ())}
    borrowed = _borrowed(written(plain(template.to_dict()), site)) if template else {}
    task.parameters |= {inner: f"{{{{{name}}}}}" for name, inner in borrowed.items()}
    for text in task.parameters.values():
        refuse_unseen(text, f"an argument of the step '{name}'", site)
    for text in (*task.parameters.values(), *task.artifacts.values()):
        task.needs.update(dict.fromkeys(tasks_in(text)))
    return task


def written(value: Any, step: str) -> Any:
    """A part of a step's template, with the tags of values that are not there yet.

    Raises:
        ComposeError: a text shows such a value in place of its tag.
    """
    if isinstance(value, Placeholder):
        return str(value)
    if isinstance(value, dict):
        return {key: written(inner, step) for key, inner in value.items()}
    if isinstance(value, list):
        return [written(inner, step) for inner in value]
    if isinstance(value, str):
        refuse_unseen(value, f"the template of the step '{step}'", step)
    return value


def _borrowed(template: dict[str, Any]) -> dict[str, str]:
    """Values that a template's text takes from around its task, each with the input that it comes through."""
    own = {p["name"] for p in template.get("inputs", {}).get("parameters", ())}
    found = {}
    for name in dict.fromkeys(name for text in _texts(template) for name in names_in(text)):
        words = name.split(".")
        if words[0] == "inputs" and len(words) == 3 and words[1] == "parameters" and words[2] not in own:
            found[name] = words[2]
        elif words[0] == "tasks" and "artifacts" not in words:
            found[name] = f"{words[1]}-{words[-1]}"
        elif words[0] == "loops":
            found[name] = "-".join(["loop", *words[1:]])
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def own_inputs(template: dict[str, Any]) -> dict[str, Any]:
    """The template with an input for each value that it takes from around its task (see `couler_task`)."""
    borrowed = _borrowed(template)
    if not borrowed:
        return template

    def inner(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: inner(part) for key, part in value.items()}
        if isinstance(value, list):
            return [inner(part) for part in value]
        if not isinstance(value, str):
            return value
        return renamed(value, lambda n: f"inputs.parameters.{borrowed[n]}" if n in borrowed else n)

    inputs = template.get("inputs", {})
    parameters = [*inputs.get("parameters", ()), *({"name": n} for n in borrowed.values())]
    rest = {key: inner(part) for key, part in template.items() if key not in ("name", "inputs")}
    return {"name": template["name"], "inputs": {**inputs, "parameters": parameters}, **rest}


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

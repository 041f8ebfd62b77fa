"""One environment, read from the settings and laid over a compiled manifest."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from argosy.compose.environments.fields import StepFields, as_mapping, laid_over, refuse_defects, texts
from argosy.compose.environments.names import Names, names_below
from argosy.compose.environments.place import Place
from argosy.declare.names import wrong_name
from argosy.lint.schema import check, table
from argosy.manifest.parts import calls_in, spec_of, title_of, with_calls, with_spec
from argosy.manifest.tree import marked
from argosy.step.values import ValueType, shown
from argosy.text import nearest

Template = dict[str, Any]
Unmatched = Callable[[StepFields, str, str, Iterable[str]], None]


class Steps:
    """The templates of a workflow spec, which are changed in copies."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.templates: list[Template] = list(spec.get("templates") or ())
        self._around = {k: v for k, v in spec.items() if k in ("entrypoint", "onExit", "hooks")}

    def lay_over_components(self, fields: Mapping[str, StepFields], unmatched: Unmatched) -> None:
        """Lay fields over the templates whose name fits; exact names come last, and so win."""
        names = [t.get("name", "") for t in self.templates if is_step(t)]
        for pattern in _exact_last(fields, names):
            fitting = [n for n in names if fnmatchcase(n, pattern)]
            if not fitting and pattern not in self._called_elsewhere():
                unmatched(fields[pattern], "component", pattern, names)
            for number, template in enumerate(self.templates):
                if template.get("name") in fitting and is_step(template):
                    self.templates[number] = fields[pattern].over(template)

    def lay_over_tasks(self, fields: Mapping[str, StepFields], unmatched: Unmatched) -> None:
        """Lay fields over the steps that tasks of fitting names call.

        A template that other tasks call as well is copied, so that theirs stays as it is.
        """
        names = [str(t.get("name")) for t in self._tasks() if self._step_of(t)]
        for pattern in _exact_last(fields, names):
            if not any(fnmatchcase(n, pattern) for n in names):
                unmatched(fields[pattern], "step", pattern, names)
            called = {t["template"] for t in self._tasks() if self._fits(t, pattern)}
            for template in sorted(called):
                self._lay_over_calls(template, pattern, fields[pattern])

    def _lay_over_calls(self, name: str, pattern: str, fields: StepFields) -> None:
        number = next(i for i, t in enumerate(self.templates) if t.get("name") == name)
        calls = [t for t in self._tasks() if t.get("template") == name]
        fitting = [t for t in calls if self._fits(t, pattern)]
        if len(fitting) == self._times_named(name):
            self.templates[number] = fields.over(self.templates[number])
            return
        copy = self._unused(f"{name}-{fitting[0]['name']}" if fitting[0]["name"] != name else f"{name}-alone")
        ids = {id(t) for t in fitting}
        template = fields.over(self.templates[number])
        self.templates = [
            with_calls(t, lambda task: {**task, "template": copy} if id(task) in ids else task)
            for t in self.templates
        ]
        self.templates.insert(number + 1, {**template, "name": copy})

    def _fits(self, task: Mapping[str, Any], pattern: str) -> bool:
        return self._step_of(task) is not None and fnmatchcase(str(task.get("name")), pattern)

    def _step_of(self, task: Mapping[str, Any]) -> Template | None:
        return next((t for t in self.templates if t.get("name") == task.get("template") and is_step(t)), None)

    def _tasks(self) -> Iterator[dict[str, Any]]:
        for template in self.templates:
            yield from calls_in(template)

    def _called_elsewhere(self) -> set[str]:
        """Templates of other objects that tasks call: another manifest has them."""
        return {str((t.get("templateRef") or {}).get("template")) for t in self._tasks()}

    def _times_named(self, name: str) -> int:
        """How often a template is named: by tasks, hooks, exit handlers and the workflow itself."""
        return sum(_count(node, name) for node in (self._around, *self.templates))

    def _unused(self, name: str) -> str:
        taken, number, free = {t.get("name") for t in self.templates}, 2, name
        while free in taken:
            free, number = f"{name}-{number}", number + 1
        return free


def is_step(template: Mapping[str, Any]) -> bool:
    """Whether a template is one container: others have no pod to say anything about."""
    return "container" in template or "script" in template


def _exact_last(fields: Mapping[str, StepFields], names: Iterable[str]) -> list[str]:
    exact = set(names)
    return sorted(fields, key=lambda pattern: pattern in exact)


def _count(node: Any, name: str) -> int:
    if isinstance(node, Mapping):
        own = sum(1 for key in ("template", "onExit", "entrypoint") if node.get(key) == name)
        return own + sum(_count(v, name) for v in node.values())
    return sum(_count(v, name) for v in node) if isinstance(node, list) else 0


Manifest = dict[str, Any]
_OVERRIDES = ("components", "parameters", "workflow")
KEYS = (*_OVERRIDES, "pipelines", "images", "namespace", "serviceAccountName", "templateDefaults")
_PIPELINE_KEYS = (*_OVERRIDES, "steps", "templateDefaults", "serviceAccountName")
# Of a workflow's spec, yet said in another way.
_ELSEWHERE = {
    "arguments": "'parameters'",
    "serviceAccountName": "'serviceAccountName'",
    "templateDefaults": "'templateDefaults'",
    "templates": "'components'",
    "entrypoint": "the program",
    "onExit": "the program",
}


@dataclass(frozen=True)
class Overlay:
    """The content of an environment.

    Attributes:
        place: where it is written.
        namespace, service_account, images: in the place of the settings' own; an empty name removes it.
        workflow: fields of Argo's workflow spec, `templateDefaults` among them.
        parameters: values of the workflow's parameters.
        components: fields of steps by the name of their template, or a pattern.
        steps: the same by the name of the task.
        pipelines: what holds for one pipeline, or for a pattern of names.
    """

    place: Place
    namespace: str | None = None
    service_account: str | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    workflow: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    components: Mapping[str, StepFields] = field(default_factory=dict)
    steps: Mapping[str, StepFields] = field(default_factory=dict)
    pipelines: Mapping[str, "Overlay"] = field(default_factory=dict)

    @classmethod
    def read(cls, content: Any, place: Place, keys: Iterable[str] = KEYS) -> "Overlay":
        """An environment as written in the settings.

        Raises:
            UsageError: an unknown key or field, or a value of another type.
        """
        content = as_mapping(content, place)
        for key in content:
            if key not in keys:
                raise (place / key).error(f"unknown key '{key}'{nearest(str(key), keys)}")
        workflow = dict(as_mapping(content.get("workflow"), place / "workflow"))
        for key in workflow.keys() & _ELSEWHERE.keys():
            raise (place / "workflow" / key).error(f"'{key}' is said by {_ELSEWHERE[key]}")
        refuse_defects(workflow, "WorkflowSpec", place / "workflow")
        if defaults := content.get("templateDefaults"):
            refuse_defects(
                as_mapping(defaults, place / "templateDefaults"), "Template", place / "templateDefaults"
            )
            workflow["templateDefaults"] = defaults
        return cls(
            place,
            _text(content, "namespace", place),
            _text(content, "serviceAccountName", place),
            texts(content.get("images"), place / "images"),
            workflow,
            _parameters(content.get("parameters"), place / "parameters"),
            _each(content.get("components"), place / "components", StepFields.read),
            _each(content.get("steps"), place / "steps", StepFields.read),
            _each(content.get("pipelines"), place / "pipelines", _pipeline),
        )

    def over(self, manifest: Manifest) -> Manifest:
        """The manifest with all of this laid over it; images are the settings' business.

        Raises:
            UsageError: an override matches nothing, here or elsewhere in the project.
        """
        name = title_of(manifest)
        inner = [p for pattern, p in _matching(self.pipelines, name)]
        self._refuse_unknown_pipelines(name)
        steps = Steps(spec_of(manifest))
        for one in (self, *inner):
            steps.lay_over_components(one.components, one._unmatched(one is self))
        for one in inner:
            steps.lay_over_tasks(one.steps, one._unmatched(False))
        if steps.templates:
            manifest = with_spec(manifest, {**spec_of(manifest), "templates": steps.templates})
        for one in (self, *inner):
            manifest = one._around(manifest, strict=one is not self)
        return manifest

    def image_of(self, step: str) -> str | None:
        """The image that `components` give a step of this name; those of one pipeline do not count."""
        fitting = [p for p in _exact_last(self.components, [step]) if fnmatchcase(step, p)]
        said = [self.components[p].container.get("image") for p in fitting]
        return next((image for image in reversed(said) if image), None)

    def given(self, manifest: Manifest) -> dict[str, str]:
        """The values that this environment gives the parameters of a pipeline."""
        return {name: one.parameters[name] for name, one in self._givers(manifest).items()}

    def places(self, manifest: Manifest) -> dict[str, Place]:
        """Where those values stand."""
        return {name: one.place / "parameters" / name for name, one in self._givers(manifest).items()}

    def _givers(self, manifest: Manifest) -> "dict[str, Overlay]":
        """Of each parameter that is given a value, the part that counts: the last one that has it."""
        inner = [p for _, p in _matching(self.pipelines, title_of(manifest))]
        declared = {p["name"] for p in _declared(spec_of(manifest))}
        return {name: one for one in (self, *inner) for name in one.parameters if name in declared}

    def _around(self, manifest: Manifest, *, strict: bool) -> Manifest:
        spec = dict(spec_of(manifest))
        templates = spec.pop("templates", None)
        spec = laid_over(spec, self.workflow, "WorkflowSpec")
        if self.service_account:
            spec["serviceAccountName"] = self.service_account
        if self.parameters:
            spec = self._with_parameters(spec, strict=strict)
        if templates is not None:
            entered = (spec.get("entrypoint"), spec.get("onExit"))
            spec["templates"] = [self._with_defaults(t) if t.get("name") in entered else t for t in templates]
        if self.namespace and manifest.get("kind") != "ClusterWorkflowTemplate":
            manifest = {**manifest, "metadata": {**manifest["metadata"], "namespace": self.namespace}}
        return with_spec(manifest, spec)

    def _with_parameters(self, spec: dict[str, Any], *, strict: bool) -> dict[str, Any]:
        declared = _declared(spec)
        names = [p["name"] for p in declared]
        for name in self.parameters:
            if name not in names and (strict or name not in self._names().parameters):
                problem = "the pipeline has no parameter" if strict else "no pipeline has a parameter"
                known = names if strict else [*names, *sorted(self._names().parameters)]
                raise (self.place / "parameters" / name).error(f"{problem} '{name}'{nearest(name, known)}")
        if not declared:
            return spec
        values = [self._with_value(p) for p in declared]
        return {**spec, "arguments": {**spec["arguments"], "parameters": values}}

    def _with_value(self, parameter: dict[str, Any]) -> dict[str, Any]:
        name = parameter["name"]
        if name not in self.parameters:
            return parameter
        value, allowed = self.parameters[name], [str(v) for v in parameter.get("enum") or ()]
        if allowed and value not in allowed:
            raise (self.place / "parameters" / name).error(f"{shown(value)} is none of {', '.join(allowed)}")
        return {**{k: v for k, v in parameter.items() if k != "valueFrom"}, "value": value}

    def _with_defaults(self, template: dict[str, Any]) -> dict[str, Any]:
        """A template that the workflow's parameters go into: callers by `templateRef` get them too."""
        inputs = template.get("inputs") or {}
        declared = inputs.get("parameters") or []
        values = [self._with_value(p) if p.get("name") in self.parameters else p for p in declared]
        return {**template, "inputs": {**inputs, "parameters": values}} if declared != values else template

    def _names(self) -> Names:
        return names_below(self.place.file.resolve().parent, Path.cwd())

    def _unmatched(self, project: bool) -> Callable[[StepFields, str, str, Iterable[str]], None]:
        """The answer to a pattern that matches no step: an error, unless another pipeline has it."""

        def refuse(fields: StepFields, noun: str, pattern: str, known: Iterable[str]) -> None:
            names = [*known, *(self._names().components if project else ())]
            if not project or not any(fnmatchcase(n, pattern) for n in names):
                raise fields.place.error(f"no {noun} '{pattern}'{nearest(pattern, sorted(set(names)))}")

        return refuse

    def _refuse_unknown_pipelines(self, name: str) -> None:
        for pattern, one in self.pipelines.items():
            if not fnmatchcase(name, pattern) and not any(
                fnmatchcase(n, pattern) for n in self._names().pipelines
            ):
                known = sorted({name, *self._names().pipelines})
                raise one.place.error(f"no pipeline '{pattern}'{nearest(pattern, known)}")


def _matching(overlays: Mapping[str, Overlay], name: str) -> list[tuple[str, Overlay]]:
    """Those whose pattern fits, the exact name last."""
    found = [(p, o) for p, o in overlays.items() if fnmatchcase(name, p)]
    return sorted(found, key=lambda pair: pair[0] == name)


def is_well_formed(manifest: Mapping[str, Any]) -> bool:
    """Whether everything in a manifest of Argo's is a mapping, a list or a text where it must be one."""
    kind, names = str(manifest.get("kind")), ("metadata", "spec")
    if kind not in table()["types"] or not all(isinstance(manifest.get(n), Mapping) for n in names):
        return False
    return not any(d.kind in ("type", "unquoted", "null") for d in check(marked(manifest), kind))


def _declared(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list((spec.get("arguments") or {}).get("parameters") or ())


def _pipeline(content: Any, place: Place) -> Overlay:
    return Overlay.read(content, place, _PIPELINE_KEYS)


def _each(content: Any, place: Place, read: Callable[[Any, Place], Any]) -> dict[str, Any]:
    return {str(name): read(value, place / name) for name, value in as_mapping(content, place).items()}


def _text(content: Mapping[str, Any], key: str, place: Place) -> str | None:
    """The name that a key gives: None where it gives none, and nothing where it takes the settings' away."""
    value = content.get(key)
    if value in (None, ""):
        return "" if key in content else None
    if wrong := wrong_name(key, value):
        raise (place / key).error(wrong)
    return str(value)


def _parameters(content: Any, place: Place) -> dict[str, str]:
    """Values as the command line would give them."""
    return {str(name): _value(value, place / name) for name, value in as_mapping(content, place).items()}


def _value(value: Any, place: Place) -> str:
    from argosy.compose.given import check_for_cluster

    if isinstance(value, float) and not math.isfinite(value):
        raise place.error(f"{place.written} is not a value: write a text or a number")
    if isinstance(value, bool):
        value = "true" if value else "false"
    if value is None or not isinstance(value, str | int | float):
        raise place.error("is not a value: write a text or a number")
    try:
        check_for_cluster({str(place.path[-1]): str(value)})
    except Exception as error:
        raise place.error(str(error)) from None
    return ValueType(float).comparable(value) if isinstance(value, float) else str(value)

"""Loops: `couler.map` over a list or an output, and the recursion of `couler.exec_while`.

Couler runs a loop's body once, with the first item, and looks at what comes back.  Here the body is composed
once more with a stand-in for the item.  A body of one task becomes that task with `withItems` or `withParam`;
any other becomes a template of its own, whose inputs are what the body takes from around it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from argosy.compose.conditions import Condition, read_condition
from argosy.compose.references import ItemRef, OutputRef, couler_output_text, tasks_in
from argosy.compose.tasks import Task
from argosy.errors import ComposeError

_TAG = re.compile(
    r"\{\{\s*(?:inputs\.(?P<kind>parameters|artifacts)\.(?P<input>[\w-]+)"
    r"|tasks\.(?P<task>[\w-]+)\.outputs\.(?P<out_kind>parameters|artifacts)\.(?P<output>[\w-]+)"
    r"|tasks\.(?P<script>[\w-]+)\.outputs\.result"
    r"|loops\.(?P<loop>\d+)\.item(?:\.(?P<field>[\w-]+))?)\s*\}\}"
)
Items = dict[str, Any]


def read_items(items: Any) -> Items:
    """`withItems` for a list, `withParam` for an output or a parameter of the pipeline."""
    if isinstance(items, OutputRef):
        return {"withParam": str(items)}
    tag = str(items) if isinstance(items, str) else couler_output_text(items)
    if tag is not None:
        return {"withParam": tag}
    return {"withItems": [_item(i) for i in items]}


def looped_over(given: Mapping[str, Any]) -> Any:
    """What a `couler.map` goes over, from its local variables.

    The fork takes one list; upstream takes one for each argument of the body, and walks them side by side.
    """
    lists = given.get("arguments", (given.get("input_list"),))
    return lists[0] if len(lists) == 1 else list(zip(*lists, strict=True))


def stand_ins(given: Mapping[str, Any], loop: int) -> list[ItemRef]:
    """What the body of a `couler.map` is called with in place of its first item, or items."""
    item, count = ItemRef.of_loop(loop), len(given.get("arguments", (None,)))
    return [item] if count == 1 else [item[n] for n in range(count)]


def own_item(text: str, loop: int) -> str:
    """A text in which the items of loop `loop` have the name that Argo gives them."""
    return text.replace(f"{{{{loops.{loop}.item", "{{item")


def _item(item: Any) -> Any:
    # Argo addresses the fields of a mapping, not the elements of a list: these get names.
    return {f"v{n}": v for n, v in enumerate(item)} if isinstance(item, (list, tuple)) else item


@dataclass
class Group:
    """A DAG template made from the body of a loop.

    Attributes:
        name: the template's.
        loop: the loop's number; its items are this group's.
        tasks: of the body.
        parameters, artifacts: its inputs, each with what it stands for where the loop stands.
    """

    name: str
    loop: int
    tasks: dict[str, Task]
    parameters: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """Make everything that the body takes from around it an input."""
        for task in self.tasks.values():
            task.parameters = {n: self._lifted(t) for n, t in task.parameters.items()}
            task.artifacts = {n: self._lifted(t) for n, t in task.artifacts.items()}
            task.items = {k: self._lifted(v) if k == "withParam" else v for k, v in task.items.items()}
            task.conditions = tuple(Condition(self._lifted(c.text)) for c in task.conditions)
            task.needs = {t: None for t in task.needs if t in self.tasks}

    def _lifted(self, text: str) -> str:
        return _TAG.sub(self._lift, text)

    def _lift(self, match: re.Match[str]) -> str:
        if (match["task"] or match["script"]) in self.tasks:
            return match[0]
        kind = match["kind"] or match["out_kind"] or "parameters"
        name = self._name(match)
        (self.artifacts if kind == "artifacts" else self.parameters)[name] = own_item(match[0], self.loop)
        return f"{{{{inputs.{kind}.{name}}}}}"

    def _name(self, match: re.Match[str]) -> str:
        if match["input"]:
            return match["input"]
        if match["task"]:
            return f"{match['task']}-{match['output']}"
        if match["script"]:
            return f"{match['script']}-result"
        item = "item" if int(match["loop"]) == self.loop else f"loop-{match['loop']}-item"
        return f"{item}-{match['field']}" if match["field"] else item

    def call(self, site: str) -> Task:
        """The task that calls the template from where the loop stands."""
        task = Task(self.name, self.name, site, dict(self.parameters), dict(self.artifacts))
        for text in (*task.parameters.values(), *task.artifacts.values()):
            task.needs.update(dict.fromkeys(tasks_in(text)))
        return task

    def repeat_while(self, condition: dict[str, Any], result: Any, site: str) -> None:
        """Call the group again at its end, while the body's result fulfils `condition`.

        `couler.equal("tails")` compares the first output of what the body returns with 'tails'.
        """
        first = result[0] if isinstance(result, list) and result else None
        text = couler_output_text(first)
        if text is None:
            raise ComposeError(f"{site}: the body of couler.exec_while must return its last step")
        compared = read_condition(
            {"pre": first, "condition": condition["condition"], "post": condition["pre"]}
        )
        again = Task(name=f"{self.name}-again", template=self.name, site=site, conditions=(compared,))
        again.parameters = {n: f"{{{{inputs.parameters.{n}}}}}" for n in self.parameters}
        again.artifacts = {n: f"{{{{inputs.artifacts.{n}}}}}" for n in self.artifacts}
        again.needs = dict.fromkeys(tasks_in(text))
        self.tasks[again.name] = again

    def to_dict(self) -> dict[str, Any]:
        """The template."""
        inputs = {
            "parameters": [{"name": n} for n in self.parameters],
            "artifacts": [{"name": n} for n in self.artifacts],
        }
        template: dict[str, Any] = {"name": self.name}
        if inputs := {k: v for k, v in inputs.items() if v}:
            template["inputs"] = inputs
        template["dag"] = {"tasks": [t.to_dict(self.tasks) for t in self.tasks.values()]}
        return template

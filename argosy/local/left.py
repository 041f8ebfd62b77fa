"""The templates that a run which goes on may still carry out: what it took over does not run again.

This is known before anything runs, so it is what may run: a condition may still leave a step out.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter

from argosy.local.composites import conditions
from argosy.local.context import EXIT_HANDLER, HOOKS
from argosy.local.model import Call, Hook, Template, Workflow
from argosy.local.node import Phase

_OVER = (Phase.SUCCEEDED, Phase.SKIPPED, Phase.OMITTED)


def run_by(workflow: Workflow, template: str) -> list[str]:
    """The names of the templates that one runs, itself first."""
    found, left = dict.fromkeys([template]), [template]
    while left:
        one = workflow.templates[left.pop()]
        called = [name for call in one.calls for name in call.called]
        left += [name for name in called if name not in found]
        found |= dict.fromkeys(called)
    return [name for name in found if name in workflow.templates]


def left_to_run(workflow: Workflow, phases: Mapping[str, Phase]) -> list[str]:
    """The names of the templates that may run after nodes ended with these phases."""
    left = _Left(workflow, phases)
    left.entrypoint()
    for hook in (*([workflow.on_exit] if workflow.on_exit else ()), *workflow.hooks.values()):
        left.whole(hook.template)
    return [name for name in workflow.templates if name in left.found]


class _Left:
    def __init__(self, workflow: Workflow, phases: Mapping[str, Phase]) -> None:
        self.found: set[str] = set()
        self._workflow, self._phases = workflow, phases

    def entrypoint(self) -> None:
        template = self._workflow.templates[self._workflow.entrypoint]
        if template.calls and not (template.retry or template.locks or template.memo):
            self._inside(template, "")
        elif self._phases.get(template.name) is not Phase.SUCCEEDED:
            self.whole(template.name)

    def whole(self, template: str) -> None:
        """Take note of a template and of all that it runs."""
        self.found.update(run_by(self._workflow, template))

    def _inside(self, template: Template, prefix: str) -> None:
        """Go through the calls of a template that goes on with what it had finished inside."""
        if template.kind == "dag":
            self._tasks(template, prefix)
            return
        after = False
        for group in template.groups:
            ran = [self._call(call, prefix, after) for call in group]
            after = after or any(ran)

    def _tasks(self, template: Template, prefix: str) -> None:
        needed = {name: condition.tasks for name, condition in conditions(template).items()}
        calls, ran = {task.name: task for task in template.calls}, dict[str, bool]()
        for name in TopologicalSorter(needed).static_order():
            after = any(ran[one] for one in needed[name])
            ran[name] = self._call(calls[name], prefix, after)

    def _call(self, call: Call, prefix: str, after: bool) -> bool:
        """Whether a call may run; `after` what it depends on does."""
        name = f"{prefix}.{call.name}" if prefix else call.name
        template = self._workflow.templates[call.template]
        if template.daemon:  # it is started for those who use it, and gives nothing new
            self.whole(call.template)
            return after
        if not after and self._phases.get(name) in _OVER:
            for hook, place in _hooks(call):
                if self._phases.get(f"{name}.{place}", Phase.SUCCEEDED) not in _OVER:
                    self.whole(hook.template)
            return False
        for hook, _ in _hooks(call):
            self.whole(hook.template)
        if after or call.loop or template.is_leaf or template.retry or not template.calls:
            self.whole(call.template)
        else:
            self.found.add(call.template)
            self._inside(template, name)
        return True


def _hooks(call: Call) -> list[tuple[Hook, str]]:
    """The hooks of a call, with what their nodes are called behind its name."""
    named = [(hook, f"{HOOKS}.{name}") for name, hook in call.hooks.items()]
    return [*([(call.exit_hook, EXIT_HANDLER)] if call.exit_hook else ()), *named]

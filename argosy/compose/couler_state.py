"""Couler's module globals, taken for one composition and given back as they were.

Couler composes into one global workflow and forgets to reset half of its state.  A composition holds a
lock, starts from a clean slate, sees every task that Couler wires, and leaves no trace behind.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import couler.argo as couler
from couler.argo_submitter import ArgoSubmitter
from couler.core import states, step_update_utils, utils
from couler.core.templates import output

from argosy.compose.naming import Places
from argosy.quiet import keep_couler_quiet

keep_couler_quiet()

_LOCK = threading.RLock()

# What `states._cleanup` leaves behind, and its first value.
_FORGOTTEN: dict[str, Any] = {
    "_outputs_tmp": None,
    "_sub_steps": None,
    "_condition_id": None,
    "_run_concurrent_lock": False,
    "_concurrent_func_id": 0,
    "_while_lock": False,
    "_when_task": None,
    "_update_steps_lock": True,
}

OnTask = Callable[[str, dict[str, Any]], None]
NameStep = Callable[[str], str]


class WatchedTasks(OrderedDict[str, Any]):
    """Couler's table of tasks, which tells of each task that Couler puts in.

    Couler's DAG mode drops a task's arguments under `when` and in an exit handler.  The complete
    task stands in a local variable of the function that calls us: that is what is told.
    """

    def __init__(self, on_task: OnTask) -> None:
        super().__init__()
        self._on_task = on_task

    def __setitem__(self, name: str, entry: Any) -> None:
        super().__setitem__(name, entry)
        self._tell(name)

    def update(self, entries: Any = (), **_: Any) -> None:  # type: ignore[override]
        """As `dict.update`, telling of each entry."""
        for name, entry in dict(entries).items():
            self[name] = entry

    def _tell(self, name: str) -> None:
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_name != "_update_dag_tasks":
            if frame.f_back is None:
                return
            frame = frame.f_back
        self._on_task(name, frame.f_locals["task_template"])


class AnyStep(OrderedDict[str, Any]):
    """Couler's table of step outputs, where a name that is not there has none.

    `couler.set_dependencies` looks up each name and fails in its own way for one that it does not
    know, be it one of our tasks or a misspelling; the composition names the misspelling itself.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        """The outputs of a step, or an empty list."""
        return super().get(key, default if default is not None else [])


def forget_leftovers() -> None:
    """Reset what Couler's own clean-up leaves behind."""
    for name, value in _FORGOTTEN.items():
        setattr(states, name, value)


@contextmanager
def _kept() -> Iterator[None]:
    """What was composed around the block is there again after it."""
    workflow = states.workflow
    before = dict(vars(states)), dict(vars(workflow))
    for hook in ("to_dict", "cleanup"):
        vars(workflow).pop(hook, None)
    try:
        couler._cleanup()
        forget_leftovers()
        yield
    finally:
        couler._cleanup()
        vars(states).update(before[0])
        vars(workflow).clear()
        vars(workflow).update(before[1])


def watch_couler(on_task: OnTask) -> None:
    """Couler in DAG mode from here on, silent at exit; `on_task` hears of each of its tasks."""
    states._enable_print_yaml = False
    states._steps_outputs = AnyStep()
    workflow = states.workflow
    workflow.enable_dag_mode()
    workflow.dag_tasks = WatchedTasks(on_task)
    workflow.exit_handler_step = WatchedTasks(on_task)


def _first(value: Any) -> Any:
    try:
        return value[0] if isinstance(value, list) else value
    except IndexError:
        return None


def _any_operand(value: Any) -> dict[str, Any]:
    """What Couler reads off an operand of a comparison, or off what a loop's body returns.

    Couler takes an output on the left and a constant on the right, and nothing else.  Our conditions are
    read from the call stack (`surroundings`): any operand will do, as long as Couler finds its keys.
    """
    first = _first(value)
    words = str(getattr(first, "value", "")).split(".")
    _, task, template, *path = words if len(words) >= 4 else ("", "value", "value", "value")
    return {"id": task, "name": template, "output": ".".join(path), "value": value}


@contextmanager
def _named(name_step: NameStep) -> Iterator[None]:
    """Couler's own steps get the name that `name_step` makes of the given one, or of the function's.

    In DAG mode Couler calls each step of a function `function-None`, and takes two for one.
    """
    update_step, locate, extract = (
        step_update_utils.update_step,
        utils.invocation_location,
        output.extract_step_return,
    )

    def named_update(function: str, args: Any, step_name: str | None, line: int | None) -> Any:
        return update_step(function, args, name_step(step_name or function), line)

    step_update_utils.update_step, utils.invocation_location = named_update, Places()
    output.extract_step_return = _any_operand
    try:
        yield
    finally:
        step_update_utils.update_step, utils.invocation_location = update_step, locate
        output.extract_step_return = extract


@contextmanager
def clean_couler(on_task: OnTask, name_step: NameStep) -> Iterator[None]:
    """Couler, clean and in DAG mode; `on_task` hears of each of its own tasks, `name_step` names it."""
    with _kept(), _named(name_step):
        watch_couler(on_task)
        yield


@contextmanager
def fresh_couler(on_task: OnTask, name_step: NameStep) -> Iterator[None]:
    """`clean_couler`, one composition at a time."""
    with _LOCK, clean_couler(on_task, name_step):
        yield


class ManifestCollector(ArgoSubmitter):
    """What `couler.run` submits to: keeps the manifest instead of sending it anywhere."""

    def __init__(self) -> None:
        # Not calling Couler's own initialiser: it looks for a cluster.
        self.manifest: dict[str, Any] = {}

    def submit(self, workflow_yaml: dict[str, Any], secrets: Any = None) -> dict[str, Any]:
        """Keep and return Couler's manifest."""
        self.manifest = workflow_yaml
        return workflow_yaml

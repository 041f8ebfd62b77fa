"""Couler's module globals, taken for one composition and given back as they were.

Couler composes into one global workflow and forgets to reset half of its state.  A composition holds a
lock, starts from a clean slate, sees every task that Couler wires, and leaves no trace behind.
"""

import importlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, Protocol

import couler.argo as couler
from couler.argo_submitter import ArgoSubmitter
from couler.core import states, step_update_utils, utils
from couler.core.constants import ImagePullPolicy
from couler.core.templates import output
from couler.core.templates.script import Script

from argosy.compose.couler_names import Places
from argosy.compose.couler_steps import careful_outputs, script_of
from argosy.compose.placeholders import Placeholder
from argosy.compose.tasks import predicate
from argosy.compose.upstream import complete_couler
from argosy.step.quiet import keep_couler_quiet

keep_couler_quiet()
complete_couler()

_LOCK = threading.RLock()

# The state that `states._cleanup` leaves behind, and its first value.
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
NameStep = Callable[[str, Any], str]


class Follower(Protocol):
    """Who hears of what a program does with Couler."""

    def on_couler_task(self, name: str, entry: dict[str, Any]) -> None:
        """Couler has put a task into its table."""

    def name_couler_step(self, name: str, called: Any) -> str:
        """The name of a task for one of Couler's own steps; `called` is what it calls, and with what."""

    def map(self, function: Callable[..., Any], *lists: Any) -> Any:
        """`couler.map`."""

    def exec_while(self, condition: dict[str, Any], function: Callable[..., Any]) -> Any:
        """`couler.exec_while`."""


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
        if isinstance(key, Placeholder):
            key.refuse("a step waits for steps: write dependencies=[step]")
        return super().get(key, default if default is not None else [])


def forget_leftovers() -> None:
    """Reset what Couler's own clean-up leaves behind."""
    for name, value in _FORGOTTEN.items():
        setattr(states, name, value)


@contextmanager
def _kept() -> Iterator[None]:
    """Work composed around the block is there again after it."""
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
    """The attributes that Couler reads off an operand of a comparison, or off the result of a loop's body.

    Couler takes an output on the left and a constant on the right, and nothing else.  Our conditions are
    read from the call stack (`surroundings`): any operand will do, as long as Couler finds its keys.
    """
    first = _first(value)
    words = str(getattr(first, "value", "")).split(".")
    _, task, template, *path = words if len(words) >= 4 else ("", "value", "value", "value")
    return {"id": task, "name": template, "output": ".".join(path), "value": value}


def _script_dict(script: Any) -> Any:
    """Couler's text of a script, of a function that is complete in itself."""
    if callable(script.source):
        script.source = script_of(script.source, script.command)
    return _couler_script_dict(script)


_couler_script_dict = Script.script_dict
_couler_update_step = step_update_utils.update_step


@contextmanager
def _named(name_step: NameStep) -> Iterator[None]:
    """Couler's own steps get the name that `name_step` makes of the given one, or of the function's.

    In DAG mode Couler calls each step of a function `function-None`, and takes two for one.
    """
    update_step, locate, safe_name, extract = (
        step_update_utils.update_step,
        utils.invocation_location,
        utils.argo_safe_name,
        output.extract_step_return,
    )
    places = Places()

    def named_update(function: str, args: Any, step_name: str | None, line: int | None) -> Any:
        places.remember()
        name = name_step(places.name, places.called)
        # Where two steps share a template, Couler leaves out what comes from the second one's dependencies.
        return _couler_update_step(function, places.args if args is not None else args, name, line)

    step_update_utils.update_step, utils.invocation_location = named_update, places
    utils.argo_safe_name = places.safe_name
    pull_policy = utils.config_image_pull_policy
    # Couler refuses the very texts that it then names as those to take.
    utils.config_image_pull_policy = lambda policy: ImagePullPolicy(policy).value
    Script.script_dict = _script_dict
    output.extract_step_return = _any_operand
    try:
        yield
    finally:
        Script.script_dict = _couler_script_dict
        step_update_utils.update_step, utils.invocation_location = update_step, locate
        utils.argo_safe_name, utils.config_image_pull_policy = safe_name, pull_policy
        output.extract_step_return = extract


_followers: list[Follower] = []


def _map(function: Any = None, *lists: Any, **named: Any) -> Any:
    # Runs as the body of Couler's own function: it sees nothing of this module.
    from argosy.compose.couler_state import _followers

    return _followers[-1].map(function, *lists, *named.values())


def _exec_while(condition: Any, inner_while: Any) -> Any:
    from argosy.compose.couler_state import _followers

    return _followers[-1].exec_while(condition, inner_while)


def _loop_verbs() -> Iterator[tuple[FunctionType, FunctionType]]:
    """Couler's loops, in the fork and upstream, each with ours."""
    ours = {"map": _map, "map_": _map, "exec_while": _exec_while}
    for module in ("loop", "recursion"):
        found = vars(importlib.import_module(f"couler.core.syntax.{module}"))
        yield from ((found[name], own) for name, own in ours.items() if name in found)  # type: ignore[misc]


@contextmanager
def _own_loops(follower: Follower) -> Iterator[None]:
    """Couler's loops are the follower's.

    Couler's own call the body with the first item and look at what comes back.  A program may have
    imported them by name, so it is not the name in Couler's module that is replaced, but the function's code.
    """
    verbs = list(_loop_verbs())
    before = [theirs.__code__ for theirs, _ in verbs]
    for theirs, own in verbs:
        theirs.__code__ = own.__code__
    _followers.append(follower)
    try:
        yield
    finally:
        _followers.remove(follower)
        for (theirs, _), code in zip(verbs, before, strict=True):
            theirs.__code__ = code


@contextmanager
def _careful_predicates() -> Iterator[None]:
    """`couler.equal` and its like return our comparisons; all of them ask one function."""
    module: Any = importlib.import_module("couler.core.syntax.predicates")
    before = vars(module).get("_predicate")
    if before is None:  # another Couler than those that are known
        yield
        return
    module._predicate = predicate
    try:
        yield
    finally:
        module._predicate = before


@contextmanager
def clean_couler(follower: Follower) -> Iterator[None]:
    """Couler, clean and in DAG mode, whose tasks and loops are the follower's."""
    with (
        _kept(),
        _named(follower.name_couler_step),
        careful_outputs(),
        _careful_predicates(),
        _own_loops(follower),
    ):
        watch_couler(follower.on_couler_task)
        yield


@contextmanager
def fresh_couler(follower: Follower) -> Iterator[None]:
    """`clean_couler`, one composition at a time."""
    with _LOCK, clean_couler(follower):
        yield


class ManifestCollector(ArgoSubmitter):
    """The submitter of `couler.run`: keeps the manifest instead of sending it anywhere."""

    def __init__(self) -> None:
        # Not calling Couler's own initialiser: it looks for a cluster.
        self.manifest: dict[str, Any] = {}

    def submit(self, workflow_yaml: dict[str, Any], secrets: Any = None) -> dict[str, Any]:
        """Keep and return Couler's manifest."""
        self.manifest = workflow_yaml
        return workflow_yaml

"""One task or step: where it is called from, its condition, arguments, template, hooks and loop.

A loop is brought from withItems, withParam or withSequence to items, and their outputs to one list; arguments
become the inputs of the template. A call that is over leaves what others may refer to.
"""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from argosy.local import standbys
from argosy.local.artifacts import from_text
from argosy.local.context import EXIT_HANDLER, HOOKS, Context
from argosy.local.daemons import LOOPBACK
from argosy.local.errors import NodeError, language
from argosy.local.feed import WAITING, Feed
from argosy.local.job import Inputs, Job, Produced
from argosy.local.model import Arguments, Artifact, Call, Hook, Loop, Template
from argosy.local.node import KINDS, Node, Phase, Values, now
from argosy.local.scope import Scope
from argosy.local.texts import compact, item_text
from argosy.manifest.tags import carried

FAILED_FAST = "template has failed or errored children and failFast enabled"

_T = TypeVar("_T")
_Turn: TypeAlias = AbstractAsyncContextManager[bool]
_PARAMETER = "outputs.parameters."
_NO_INPUTS = Inputs()
_LARGEST_SEQUENCE = 100_000


class Executor(Protocol):
    """Carries jobs out (engine.py), as the compositions see it that call for them."""

    ctx: Context

    async def execute(self, job: Job) -> tuple[Node, Produced]:
        """Carry a job out to its end; never raises for what goes wrong inside of it."""

    def foresee(self, template: Template, name: str) -> bool:
        """Start the program of a job that comes next, if that may be; whether it did."""

    def foresee_end(self) -> bool:
        """The same for a step of the exit handler, where nothing else comes."""


@dataclass(frozen=True)
class Site:
    """A DAG or steps template that is being carried out.

    `prefix` begins the names of its nodes, `kind` is `tasks` or `steps`, `slots` limits its children
    (`parallelism`). `failures` are the names of what failed inside so far.
    """

    engine: Executor
    prefix: str
    parent: str
    kind: str
    scope: Scope
    slots: asyncio.Semaphore | None = None
    fail_fast: bool = False
    """Whether nothing more starts once something has failed (the template's own `failFast`)."""
    failures: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be started."""
        return self.fail_fast and bool(self.failures)

    def name(self, call: Call) -> str:
        """The name of a call's node."""
        return f"{self.prefix}.{call.name}" if self.prefix else call.name

    def template(self, call: Call) -> Template:
        """The work of a call."""
        return self.engine.ctx.plan.workflow.templates[call.template]

    def expect(self, calls: Iterable[Call]) -> None:
        """Show what is going to be carried out, before any of it starts."""
        self.engine.ctx.state.expect(
            Node(self.name(call), call.template, self._kind(call), parent=self.parent) for call in calls
        )

    def may_come(self, call: Call, after_idle: bool) -> bool:
        """Whether a call's `when` may hold; one not known yet may, unless it asks what is idle."""
        try:
            return not call.when or self.scope.holds(call.when)[0]
        except NodeError:
            return not after_idle

    def foresee(self, coming: Callable[[], Iterable[Call]]) -> None:
        """Something was started; `coming` tells what comes next, once that is under way."""

        def look() -> None:
            calls = (call for call in coming() if call.loop is None)
            if any(self.engine.foresee(self.template(call), self.name(call)) for call in calls) or (
                not self.prefix and self.engine.foresee_end()
            ):
                asyncio.get_running_loop().call_later(standbys.DELAY, look)

        asyncio.get_running_loop().call_later(standbys.DELAY, look)

    def end(self, call: Call, name: str, parent: str, phase: Phase, message: str) -> Node:
        """Record the end of a call, or of one of its items, that did not come to its template."""
        kind = self._kind(call) if parent == self.parent else KINDS[self.template(call).kind]
        self.engine.ctx.state.empty(name)
        self.engine.ctx.standbys.discard(name)
        node = Node(name, call.template, kind, phase, parent, finished_at=now(), message=message)
        return self.engine.ctx.state.put(node)

    def omit(self, call: Call, message: str) -> Finished:
        """A call that does not run, recorded as Omitted."""
        node = self.end(call, self.name(call), self.parent, Phase.OMITTED, message)
        return self.finished(call, node, Produced())

    def give_up(self, calls: Iterable[Call]) -> None:
        """The run is being stopped: omit what never started, but keep what an earlier session finished."""
        for call in calls:
            if self.engine.ctx.state.kept(self.name(call)) is None:
                self.omit(call, f"not started: {self.engine.ctx.stop_reason}")

    def finished(
        self,
        call: Call,
        node: Node,
        produced: Produced,
        items: tuple[str, ...] = (),
        lists: dict[str, str] | None = None,
        problem: str = "",
    ) -> Finished:
        """Names that others may refer to after a call; `lists` are the aggregated outputs of a loop."""
        prefix = f"{self.kind}.{call.name}"
        known = (
            _state_variables(node, self.template(call).daemon)
            | _output_variables(node, produced, self.template(call))
            | (lists or {})
        )
        variables = {f"{prefix}.{name}": value for name, value in known.items()}
        artifacts = {f"{prefix}.outputs.artifacts.{name}": path for name, path in produced.artifacts.items()}
        return Finished(node, items, variables, artifacts, problem)

    def after(self, call: Call, node: Node, produced: Produced, scope: Scope) -> Scope:
        """A call's scope, with what it has made by now."""
        known = self.finished(call, node, produced)
        return scope.inner(known.variables, known.artifacts)

    def _kind(self, call: Call) -> str:
        return "Loop" if call.loop else KINDS[self.template(call).kind]


@dataclass(frozen=True)
class Finished:
    """A call that is over: its node, the phases of its loop's items, and what others may refer to."""

    node: Node
    items: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    problem: str = ""
    """Why whoever comes after cannot start: lists that cannot be gathered, an unreadable condition."""


def _state_variables(node: Node, daemon: bool) -> dict[str, str]:
    if daemon and node.phase is Phase.SUCCEEDED:  # it is ready, and runs
        return {
            "status": Phase.RUNNING.value,
            "id": node.name,
            "ip": LOOPBACK,
            "startedAt": node.started_at or "",
        }
    known = {"status": node.phase.value, "id": node.name, "hostNodeName": platform.node()}
    if node.started_at:
        known["startedAt"] = node.started_at
    if node.finished_at:
        known["finishedAt"] = node.finished_at
    if node.exit_code is not None:
        known["exitCode"] = str(node.exit_code)
    return known


def _output_variables(node: Node, produced: Produced, template: Template) -> dict[str, str]:
    parameters = dict(produced.parameters)
    if node.phase in (
        Phase.SKIPPED,
        Phase.OMITTED,
    ):  # what did not run has the outputs that were given a default
        parameters = {out.name: out.default for out in template.outputs if out.default is not None}
    known = {f"outputs.parameters.{name}": value for name, value in parameters.items()}
    return known if produced.result is None else {**known, "outputs.result": produced.result}


async def run_call(site: Site, call: Call, *, fresh: bool) -> Finished:
    """Carry a call out to its end; what goes wrong inside becomes its node's phase and message.

    `fresh`: something that it depends on ran in this session, so nothing is kept from an earlier one.
    """
    scope = _once(site.scope)
    try:
        if call.loop is not None:
            return await _run_loop(site, call, call.loop, fresh)
        if call.when:
            scope.holds(call.when)
    except NodeError as error:
        node = site.end(call, site.name(call), site.parent, Phase.ERROR, str(error))
        return site.finished(call, node, Produced(), problem="" if call.loop else str(error))
    node, produced = await _run_one(site, call, site.name(call), site.parent, scope, fresh)
    return site.finished(call, node, produced)


def resolve(site: Site, call: Call) -> None:
    """Raise NodeError if a call cannot be resolved: its loop, its condition, the tags of its arguments."""
    if call.loop is None:
        _resolve_one(call, _once(site.scope))
        return
    for item in _items(call, call.loop, site.scope):
        _resolve_one(call, site.scope.inner(dict(item.variables)))


def _once(scope: Scope) -> Scope:
    """The variables of a call without a loop: as in Argo, `{{item}}` stays as it is written."""
    return scope.inner({"item": "{{item}}"})


def _resolve_one(call: Call, scope: Scope) -> None:
    if call.when and not scope.holds(call.when)[0]:
        return
    for value in call.arguments.parameters.values():
        scope.optional(value)


def _items(call: Call, loop: Loop, scope: Scope) -> Items:
    """The items of a loop; a list that cannot be read is empty where `when` is false anyway."""
    try:
        return expand(loop, scope)
    except NodeError:
        if loop.param is None or not call.when or scope.holds(call.when)[0]:
            raise
        return Items(())


async def gather(jobs: Iterable[Awaitable[_T]]) -> list[_T]:
    """Wait for all; if this is cancelled, or one raises, the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run_one(
    site: Site,
    call: Call,
    name: str,
    parent: str,
    scope: Scope,
    fresh: bool,
    turn: _Turn | None = None,
    **waiting: Any,
) -> tuple[Node, Produced]:
    """A call without a loop, or one item of a loop; `waiting` are the fields of the job about that."""
    ctx = site.engine.ctx
    try:
        if call.when:
            holds, asked = scope.holds(call.when)
            if not holds:
                message = f"when '{asked}' evaluated false"
                return site.end(call, name, parent, Phase.SKIPPED, message), Produced()
        # What is over needs no inputs any more; they may be lost.
        kept = not fresh and not site.template(call).daemon and ctx.state.kept(name)
        given = (call.arguments, scope, ctx.globals, ctx.run_dir)
        inputs = Inputs() if kept else bind(site.template(call), *given)
    except NodeError as error:
        return site.end(call, name, parent, Phase.ERROR, str(error)), Produced()
    async with site.slots or nullcontext():
        if site.is_over:
            return site.end(call, name, parent, Phase.OMITTED, FAILED_FAST), Produced()
        watch = Watch(call.hooks, lambda hook, suffix, known: _run_hook(site, hook, name, known, suffix))
        if call.hooks:
            begun = Node(name, call.template, "", Phase.RUNNING, parent, started_at=now())
            watch.look(site.after(call, begun, Produced(), scope))
        job = Job(site.template(call), name, inputs, parent, fresh, **waiting)
        node, produced = await site.engine.execute(job)
    if call.hooks:
        watch.look(site.after(call, node, produced, scope))
        await watch.over()
    if node.phase.is_bad:
        site.failures.append(name)
    if call.exit_hook:
        async with turn or nullcontext(enter_result=True) as mine:
            if mine:
                await _run_hook(site, call.exit_hook, name, site.after(call, node, produced, scope))
    return node, produced


class Turns:
    """Whose exit hook runs, of the items of a DAG's loop: as in Argo, one at a time.

    When the last item ends while the hook of another still runs, the items that wait for theirs get none. The
    engine looks at all items at once, now and then, and goes through them by number: of those that end within
    `SECONDS` the first one by number is first.
    """

    SECONDS = 0.25

    def __init__(self, count: int) -> None:
        self._left = count
        self._ended: set[int] = set()
        self._busy = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncIterator[bool]:
        """An item has ended: whether its hook is to run within this block, which may wait first."""
        self._ended.add(number)
        self._left -= 1
        if self._left:
            await asyncio.sleep(self.SECONDS)
        async with self._changed:
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._is_decided(number))
            self._ended.remove(number)
            mine = not self._busy
            self._busy = True
            self._changed.notify_all()
        yield mine
        if mine:
            async with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _is_decided(self, number: int) -> bool:
        """Tell whether it is known if this item's hook runs."""
        return not self._left if self._busy else number == min(self._ended)


class Watch:
    """The hooks of a call or a workflow: each runs once, as soon as its expression holds."""

    def __init__(
        self,
        hooks: Mapping[str, Hook],
        run: Callable[[Hook, str, Scope], Awaitable[None]],
        refuse: Callable[[Hook, str, NodeError], None] | None = None,
    ) -> None:
        """`run` carries a hook out, by its last name; `refuse` is told of an expression without a value.

        Without it such a hook waits: it names what is not there yet.
        """
        self._left, self._run, self._refuse = dict(hooks), run, refuse
        self._running: list[asyncio.Future[None]] = []

    def look(self, scope: Scope) -> None:
        """Another phase has come: start the hooks that wait for it."""
        for name, hook in list(self._left.items()):
            try:
                holds = scope.evaluate(hook.expression or "") is True
            except NodeError as error:
                if self._refuse is not None:
                    del self._left[name]
                    self._refuse(hook, f"{HOOKS}.{name}", error)
                continue
            if holds:
                del self._left[name]
                self._running.append(asyncio.ensure_future(self._run(hook, f"{HOOKS}.{name}", scope)))

    async def over(self) -> None:
        """Wait for the hooks that run."""
        await gather(self._running)


async def _run_hook(site: Site, hook: Hook, owner: str, scope: Scope, suffix: str = EXIT_HANDLER) -> None:
    """Run a hook of a call. As in Argo, its failure is shown and changes nothing else."""
    ctx = site.engine.ctx
    template = ctx.plan.workflow.templates[hook.template]
    name = f"{owner}.{suffix}"
    try:
        if suffix == EXIT_HANDLER and hook.expression and scope.evaluate(hook.expression) is not True:
            return
        inputs = bind(template, hook.arguments, scope, ctx.globals, ctx.run_dir)
    except NodeError as error:
        kind = KINDS[template.kind]
        ctx.state.put(
            Node(name, template.name, kind, Phase.ERROR, owner, finished_at=now(), message=str(error))
        )
        return
    await site.engine.execute(Job(template, name, inputs, owner, fresh=owner in ctx.executed))


async def _run_loop(site: Site, call: Call, loop: Loop, fresh: bool) -> Finished:
    """All items side by side; a loop fails as its last failing item did. Raises NodeError for a bad list."""
    ctx, name = site.engine.ctx, site.name(call)
    items = _items(call, loop, site.scope)
    if fresh:
        ctx.state.empty(name)
    if not items:
        node = site.end(call, name, site.parent, Phase.SKIPPED, "Skipped, empty params")
        return site.finished(call, node, Produced())
    earlier = ctx.state.kept(name)
    ctx.state.put(Node(name, call.template, "Loop", Phase.RUNNING, site.parent, started_at=now()))
    try:
        turns = Turns(len(items)) if site.kind == "tasks" else None
        done = await _Round(site, call, items, fresh, turns).run()
    except asyncio.CancelledError:
        _close(site, name, Phase.FAILED, ctx.stop_reason, Values())
        raise
    if any(node.name in ctx.executed for node, _ in done):
        ctx.executed.add(name)
        earlier = None
    bad = [node.phase for node, _ in done if node.phase.is_bad]
    lists, problem = _gathered([produced for node, produced in done if node.phase is Phase.SUCCEEDED])
    parameters = {
        key.removeprefix(_PARAMETER): text for key, text in lists.items() if key.startswith(_PARAMETER)
    }
    outputs = Values(parameters, {}, lists.get("outputs.result"))
    message = f"{len(bad)} of {len(done)} items failed" if bad else ""
    node = _close(site, name, bad[-1] if bad else Phase.SUCCEEDED, message, outputs)
    if earlier:
        node = ctx.state.put(replace(node, started_at=earlier.started_at, finished_at=earlier.finished_at))
    if call.exit_hook and site.kind == "tasks":  # a DAG's loop has the hook of its items, and its own
        over = site.finished(call, node, Produced(), lists=lists)
        await _run_hook(site, call.exit_hook, name, site.scope.inner(over.variables))
    return site.finished(call, node, Produced(), tuple(item.phase.value for item, _ in done), lists, problem)


def _gathered(outputs: list[Produced]) -> tuple[dict[str, str], str]:
    """The outputs of a loop, or why those after it cannot have them."""
    try:
        return aggregate(outputs), ""
    except NodeError as error:
        return {}, str(error)


class _Round:
    """The items of a loop, run side by side."""

    def __init__(self, site: Site, call: Call, items: Items, fresh: bool, turns: Turns | None) -> None:
        self._site, self._call, self._items, self._fresh, self._turns = site, call, items, fresh, turns
        self._loop, self._queued_at = site.name(call), None
        # Of those that wait for a lock, cause hooks, or stop others, one is not like another: all are made.
        if len(items) > WAITING and not (site.template(call).locks or call.hooks or site.fail_fast):
            self._queued_at = None if site.slots else now()
            self._feed = Feed(len(items), self._one, WAITING)
        else:
            self._feed = Feed(len(items), self._one, len(items))

    async def run(self) -> list[tuple[Node, Produced]]:
        """Each item's node and outputs, in order."""
        state, kind = self._site.engine.ctx.state, KINDS[self._site.template(self._call).kind]
        if self._queued_at is not None:
            state.expect(
                Node(name, self._call.template, kind, parent=self._loop, queued_at=self._queued_at)
                for name in self._names()
            )
        try:
            return await self._feed.results()
        except asyncio.CancelledError:
            if self._queued_at is not None:
                self._give_up()
            raise

    def _give_up(self) -> None:
        """The run is being stopped: end the items that wait, like those that have been made."""
        state, why = self._site.engine.ctx.state, self._site.engine.ctx.stop_reason
        for name in self._names(self._feed.made):
            if state.kept(name) is None:
                ended = replace(state.nodes[name], phase=Phase.FAILED, message=why, finished_at=now())
                state.put(replace(ended, started_at=ended.finished_at))

    def _names(self, first: int = 0) -> Iterator[str]:
        return (f"{self._loop}{self._items[n].suffix}" for n in range(first, len(self._items)))

    async def _one(self, number: int, begun: Callable[[], None]) -> tuple[Node, Produced]:
        item, turn = self._items[number], self._turns.turn(number) if self._turns else None
        name, scope = f"{self._loop}{item.suffix}", self._site.scope.inner(dict(item.variables))
        waiting = {"queued_at": self._queued_at, "begun": begun}
        return await _run_one(self._site, self._call, name, self._loop, scope, self._fresh, turn, **waiting)


def _close(site: Site, name: str, phase: Phase, message: str, outputs: Values) -> Node:
    node = site.engine.ctx.state.nodes[name]
    started = node.started_at
    return site.engine.ctx.state.put(
        Node(
            name, node.template, "Loop", phase, node.parent, started, now(), outputs=outputs, message=message
        )
    )


def bind(
    template: Template,
    arguments: Arguments,
    scope: Scope,
    outer: Scope,
    run_dir: Path,
    known: Inputs = _NO_INPUTS,
) -> Inputs:
    """The inputs of a template: arguments read in the caller's scope, defaults in the workflow's (`outer`).

    `known` are values, not text with tags, for what no argument is passed for. An argument that is one
    output of a task that did not run counts as not given. Raises NodeError for an input that has neither
    argument nor default.
    """
    parameters = dict(known.parameters)
    artifacts = dict(known.artifacts)
    for declared in (port for port in template.parameters if port.name not in known.parameters):
        given = arguments.parameters.get(declared.name)
        value = None if given is None else scope.optional(given)
        if value is None and declared.fallback is not None:
            value = outer.render(declared.fallback)
        if value is None:
            why = f"{given} was not produced" if given else "nothing was passed"
            raise NodeError(
                f"input parameter '{declared.name}' of template '{template.name}' has no value: {why}"
            )
        parameters[declared.name] = value
    for artifact in (port for port in template.artifacts if port.name not in known.artifacts):
        passed = arguments.artifacts.get(artifact.name)
        source: Path | None = None
        if passed is not None:
            source = _passed_artifact(passed, scope, run_dir)
            source = source / scope.render(passed.sub_path) if source and passed.sub_path else source
        elif artifact.raw is not None:
            source = from_text(outer.render(artifact.raw), run_dir)
        if source is not None and source.exists():
            artifacts[artifact.name] = source
        elif not (artifact.optional or (passed and passed.optional) or (artifact.fetched and not passed)):
            raise NodeError(f"input artifact '{artifact.name}' of template '{template.name}' does not exist")
    return Inputs(parameters, artifacts)


def _passed_artifact(passed: Artifact, scope: Scope, run_dir: Path) -> Path | None:
    if passed.raw is not None:
        return from_text(scope.render(passed.raw), run_dir)
    if passed.source or passed.expression:
        return scope.artifact(passed.source, passed.expression)
    return None


@dataclass(frozen=True, slots=True)
class Item:
    """One round of a loop: the suffix of its node's name, and its variables."""

    suffix: str
    variables: Mapping[str, str]


class Items:
    """The items of a loop, made when they are asked for: of thousands, few are at work.

    Raises NodeError for a value that no item can have.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values
        with language():
            for value in values:
                carried("item", item_text(value))

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: int) -> Item:
        return _item_of(index, self._values[index])

    def __iter__(self) -> Iterator[Item]:
        return (self[index] for index in range(len(self)))


def expand(loop: Loop, scope: Scope) -> Items:
    """The items of a loop, in order. Raises NodeError for a bad sequence or withParam."""
    if loop.items is not None:
        values = [_rendered_item(item, scope) for item in loop.items]
    elif loop.param is not None:
        values = _json_list(scope.render(loop.param))
    else:
        values = _sequence({key: scope.render(text) for key, text in (loop.sequence or {}).items()})
    return Items(values)


def aggregate(outputs: Sequence[Produced]) -> dict[str, str]:
    """`outputs.result`, `outputs.parameters`, `outputs.parameters.X` of a loop: JSON lists in item order.

    Results are JSON values; parameters are texts, unless each is a JSON object or list.

    Raises:
        NodeError: a result is no JSON.
    """
    names = dict.fromkeys(name for output in outputs for name in output.parameters)
    results = [_result(output.result) for output in outputs if output.result is not None]
    known = {
        "outputs.result": compact(results),
        "outputs.parameters": compact([dict(output.parameters) for output in outputs]),
    }
    for name in names:
        values = [output.parameters[name] for output in outputs if name in output.parameters]
        known[f"outputs.parameters.{name}"] = _listed(values)
    return known


def _listed(texts: Sequence[str]) -> str:
    decoded: list[Any] = []
    for text in texts:
        try:
            value = json.loads(text)
        except ValueError:
            return compact(list(texts))
        if not isinstance(value, dict | list):
            return compact(list(texts))
        decoded.append(value)
    return compact(decoded)


def _result(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise NodeError(
            f"the results of a loop are gathered as JSON, and an item printed {text[:60]!r}; "
            "print JSON, or pass an output parameter"
        ) from error


def _rendered_item(item: Any, scope: Scope) -> Any:
    if isinstance(item, str):
        return scope.render(item)
    if isinstance(item, list):
        return [_rendered_item(part, scope) for part in item]
    if isinstance(item, dict):
        return {key: _rendered_item(part, scope) for key, part in item.items()}
    return item


def _json_list(text: str) -> list[Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise NodeError(f"withParam is not JSON: {error}: {text[:200]!r}") from error
    if not isinstance(values, list):
        raise NodeError(f"withParam is not a JSON list: {text[:200]!r}")
    return values


def _sequence(spec: Mapping[str, str]) -> list[str]:
    numbers = {key: _whole(key, text) for key, text in spec.items() if key != "format"}
    start = numbers.get("start", 0)
    end = numbers["end"] if "end" in numbers else start + numbers["count"] - 1
    if numbers.get("count") == 0:
        return []
    step = 1 if start <= end else -1
    if abs(end - start) >= _LARGEST_SEQUENCE:
        raise NodeError(f"withSequence from {start} to {end} is longer than {_LARGEST_SEQUENCE}")
    try:
        return [spec.get("format", "%d") % number for number in range(start, end + step, step)]
    except (TypeError, ValueError) as error:
        raise NodeError(f"withSequence format {spec['format']!r} does not fit one number: {error}") from error


def _whole(field: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise NodeError(f"withSequence {field} is {text!r}, not a whole number") from error


def _item_of(index: int, value: Any) -> Item:
    text = item_text(value)
    variables = {"item": text}
    label = text
    if isinstance(value, dict):
        parts = {str(key): item_text(part) for key, part in value.items()}
        variables |= {f"item.{key}": part for key, part in parts.items()}
        label = ",".join(f"{key}:{part}" for key, part in sorted(parts.items()))
    return Item(f"({index}:{label})", variables)

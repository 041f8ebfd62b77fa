"""One attempt at a template that runs programs: its folder, its containers and their order, its outputs.

Init containers run in order, and the first that fails is the pod's end. Sidecars run as long as the main
program and are asked to stop when it is over; as in Argo, one that ended by itself with an exit code makes
the pod Failed, one that was stopped does not. The programs of a `containerSet` run beside each other or after
those that they depend on. All share the pod's volumes, and nothing else: each has paths of its own. Inputs
and outputs are the main one's.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from argosy.errors import ManifestError
from argosy.local.artifacts import FETCHERS, fetched, keep, put
from argosy.local.breakpoints import run_on_terminal
from argosy.local.context import Context
from argosy.local.errors import NodeError, NoProgram
from argosy.local.job import Inputs, Outcome, Produced
from argosy.local.model import Container, Parameter, Template
from argosy.local.node import Node, Phase, folder_name, now
from argosy.local.paths import PathMap
from argosy.local.process import Ended
from argosy.local.program import PYTHONS, declared_paths, paths_of, program_of, told
from argosy.local.scope import Scope, composed, parameter_variables
from argosy.local.standbys import Standby, Start
from argosy.local.texts import duration

_TAIL_LINES, _TAIL_BYTES = 20, 16 * 1024
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_STOPPED_BY_SIGNAL = (137, 143)
"""Exit codes of a program that was stopped by a signal."""

_MOMENT = 0.1  # seconds in which a sidecar may end by itself


class Pod:
    """The attempt; `steps/<name>/` has its `work`, `tmp`, `root` and `main.log`."""

    def __init__(
        self, ctx: Context, template: Template, inputs: Inputs, node: str, name: str, retries: int
    ) -> None:
        assert template.container is not None
        self.ctx, self.template, self.inputs, self.node, self.name = ctx, template, inputs, node, name
        self.container: Container = template.container
        self.folder = ctx.seen_dir / "steps" / folder_name(name)
        self.log = ctx.run_dir / "steps" / folder_name(name) / "main.log"
        self.work = self.folder / "work"
        declared = [*template.paths.values(), *declared_paths(template.container)]
        alone = not (template.sidecars or template.containers)
        by_tag = ctx.containers is None and _gets_paths_by_tag(template, template.container)
        self.paths = (
            PathMap(declared, self.folder / "root", self.work)
            if by_tag
            else paths_of(ctx, template.container, declared, self.folder, self.folder, alone=alone)
        )
        self.pod_name = ctx.pod_name(template.name, name)
        self.scope = ctx.globals.inner(self._variables(node, retries))
        self.started = asyncio.Event()
        """Set when the main program is about to start."""
        place = (self.folder, self.scope, self.paths, self.pod_name)
        self.program = program_of(ctx, self.container, *place, template)

    @property
    def last_words(self) -> Path:
        """Where the program may say in one line why it failed, as in a pod."""
        return self.folder / "termination-log"

    def tail(self, log: Path | None = None) -> tuple[str, ...]:
        """The last lines of a log of the pod; the main program's if none is named."""
        log = log or self.log
        if not log.exists():
            return ()
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            return tuple(file.read().decode("utf-8", errors="replace").splitlines()[-_TAIL_LINES:])

    async def run(self, limit: float | None) -> Outcome:
        """Carry it out in at most `limit` seconds. A failed program is an outcome; raises NodeError."""
        self.ctx.tick()
        async with self.ctx.standbys.turn(self.node) as standby:
            await asyncio.to_thread(self._prepare, keep=standby is not None)
            variables, env = self.program.environment(self.last_words)
            try:
                if problem := await _initialized(self, limit):
                    return Outcome(Phase.FAILED, problem, log_tail=self.tail())
                if self.template.containers:
                    async with _sidecars(self) as failed:
                        outcome = await _ContainerSet(self, limit).run()
                    return _with_sidecars(outcome, failed)
                argv = self.program.argv(variables, env, self.inputs.parameters)
                async with _sidecars(self) as failed:
                    ended = await self._execute(argv, env, limit, standby)
            except NoProgram as error:
                return Outcome(Phase.FAILED, str(error), NoProgram.CODE, Produced(), self.tail())
        produced, missing = await asyncio.to_thread(_collect, self, ended.result, ended.code == 0)
        return _with_sidecars(self._outcome(ended, produced, missing, limit), failed)

    def start_early(self) -> bool:
        """Start the program before its turn, where that makes no difference except in time; whether it did.

        So it is where the command is `python -m MODULE`, and nothing that an import can see will change
        until the turn: the folder is this node's own, new, and nothing is put where the program starts.
        """
        if self.ctx.containers is not None:
            return False
        words = (*self.container.command, *self.container.args)
        placed = [*self.template.paths.values(), *(mount.path for mount in self.container.mounts)]
        if (
            words[0] not in PYTHONS
            or words[1:2] != ("-m",)
            or not _MODULE.fullmatch("".join(words[2:3]))
            or self.container.source is not None
            or self.container.working_dir
            or self.template.name in self.ctx.captured
            or not all(path.startswith("/") for path in placed)
            or self.folder.exists()
            or self.template.init_containers
            or self.template.containers
            or self.paths.shown
        ):
            return False
        with suppress(NodeError, OSError):  # a value that is not known yet; a full disk is the step's to tell
            _, env = self.program.environment(self.last_words)
            self._make_folders()
            self.ctx.standbys.expect(self.node, Start(words[2], self.work, env), self.folder)
            return True
        return False

    def _variables(self, node: str, retries: int) -> dict[str, str]:
        known = {
            "pod.name": self.pod_name,
            "node.name": f"{self.ctx.plan.name}.{node}",
            "tasks.name": node.rpartition(".")[2],
            "steps.name": node.rpartition(".")[2],
            "retries": str(retries),
            **parameter_variables("inputs", self.inputs.parameters),
        }
        return known | {tag: self.paths.seen(path) for tag, path in self.template.paths.items()}

    def _outcome(self, ended: Ended, produced: Produced, missing: str, limit: float | None) -> Outcome:
        if ended.timed_out:
            message = f"ran longer than {limit:g} s and was stopped"
            return Outcome(Phase.FAILED, message, ended.code, produced, self.tail(), timed_out=True)
        if ended.code != 0:
            return Outcome(Phase.FAILED, told(ended, self.last_words), ended.code, produced, self.tail())
        if missing:
            return Outcome(Phase.ERROR, missing, ended.code, produced, self.tail())
        return Outcome(Phase.SUCCEEDED, exit_code=0, produced=produced)

    async def _execute(
        self, argv: list[str], env: Mapping[str, str], limit: float | None, standby: Standby | None
    ) -> Ended:
        capture = self.template.name in self.ctx.captured
        if self.ctx.only is not None and self.ctx.only.terminal:
            return await run_on_terminal(argv, cwd=self.program.working_dir(self.work), env=env)
        self.started.set()
        began = time.monotonic()
        if standby is not None and argv[:2] == [sys.executable, "-m"] and not capture:
            start = Start(argv[2], self.program.working_dir(self.work), env)
            ended = await standby.run(start, argv[3:], self.log, limit)
            if ended is not None:
                return ended
        left = None if limit is None else max(0.01, limit - (time.monotonic() - began))
        plain = not self.paths.shown and self.ctx.containers is None
        forks = self.ctx.standbys.forks if plain else None
        if forks is not None and not capture and forks.takes(argv, env):
            cwd = self.program.working_dir(self.work)
            ended = await forks.run(argv, cwd=cwd, env=env, log=self.log, limit=left)
            if ended is not None:
                return ended
        return await self.program.run(argv, env, work=self.work, log=self.log, capture=capture, limit=left)

    def _make_folders(self) -> None:
        for folder in (self.work, self.folder / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        self.last_words.touch()

    def _prepare(self, *, keep: bool) -> None:
        if not keep:  # a program that waits in the folder has made it anew
            shutil.rmtree(self.folder, ignore_errors=True)
            left = self.folder / "volumes"  # another user's, as a container with Docker leaves it
            if left.exists():
                raise NodeError(f"{left} is of an earlier attempt and cannot be removed: remove it with sudo")
        self._make_folders()
        self.program.mount()
        for tag, path in self.template.paths.items():
            if tag.startswith("outputs."):
                self.program.room(path)
        for artifact in self.template.artifacts:
            source = self.inputs.artifacts.get(artifact.name)
            if source is None and artifact.fetched in FETCHERS:
                place = self.folder / "fetched" / folder_name(artifact.name)
                source = fetched(artifact, self.scope, self.ctx.kept, place)
            if artifact.path and source is not None:
                put(source, self.paths.place(artifact.path), artifact, self.folder)


def _gets_paths_by_tag(template: Template, container: Container) -> bool:
    """Whether it is a Python module that gets each of its paths as an argument, as a component's step does.

    It needs no view of its own, and can be started before its turn.
    """
    words = (*container.command, *container.args)
    placed = container.mounts or container.working_dir or container.source is not None
    if placed or words[0] not in PYTHONS or words[1:2] != ("-m",):
        return False
    text = "".join(words).replace(" ", "")
    return all(f"{{{{{tag}}}}}" in text for tag in template.paths)


def _with_sidecars(outcome: Outcome, failed: Sequence[str]) -> Outcome:
    """A pod that went well, but for a sidecar, has failed."""
    if failed and not outcome.phase.is_bad:
        return replace(outcome, phase=Phase.FAILED, message=failed[0])
    return outcome


async def _initialized(pod: Pod, limit: float | None) -> str:
    """Run the init containers in order; the message of the first that failed, or nothing."""
    for container in pod.template.init_containers:
        ended = await _run_container(pod, container, limit)
        if ended.timed_out:
            return f"{container.name}: ran longer than {limit:g} s and was stopped"
        if ended.code:
            return f"{container.name}: {ended.message}"
    return ""


@asynccontextmanager
async def _sidecars(pod: Pod) -> AsyncIterator[list[str]]:
    """While inside the sidecars run; after it the list has the messages of those that failed."""
    failed: list[str] = []
    running = [asyncio.ensure_future(_watched(pod, side, failed)) for side in pod.template.sidecars]
    try:
        yield failed
    finally:
        await _stop(running)


async def _stop(running: Sequence[asyncio.Future[None]]) -> None:
    if running:  # what is about to end by itself is not stopped, as it would have an exit code of its own
        await asyncio.wait(running, timeout=_MOMENT)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _watched(pod: Pod, container: Container, failed: list[str]) -> None:
    try:
        ended = await _run_container(pod, container, None)
    except Exception as error:  # a program that is not there is a sidecar that failed
        failed.append(f"{container.name}: {error}")
        return
    if ended.code and ended.code not in _STOPPED_BY_SIGNAL:
        failed.append(f"{container.name}: {ended.message}")


def _place_of(pod: Pod, container: Container) -> tuple[Path, Path]:
    """The folder of one container of a pod, and its log."""
    if container is pod.container:
        return pod.folder, pod.log
    name = folder_name(container.name)
    return pod.folder / "containers" / name, pod.log.with_name(f"{name}.log")


async def _run_container(
    pod: Pod, container: Container, limit: float | None, *, capture: bool = False
) -> Ended:
    """Run one container of a pod to its end. Raises NodeError, NoProgram where there is no such program."""
    place, log = _place_of(pod, container)
    work = place / "work"
    work.mkdir(parents=True, exist_ok=True)
    program = pod.program
    if container is not pod.container:
        alone = container in pod.template.init_containers
        paths = paths_of(pod.ctx, container, declared_paths(container), place, pod.folder, alone=alone)
        program = program_of(pod.ctx, container, pod.folder, pod.scope, paths, pod.pod_name)
        await asyncio.to_thread(program.mount)
    variables, env = program.environment(place / "termination-log")
    argv = program.argv(variables, env, pod.inputs.parameters)
    return await program.run(argv, env, work=work, log=log, capture=capture, limit=limit)


class _ContainerSet:
    """The containers of one attempt at a `containerSet`; each has a node of its own, below the step's.

    As in Argo's executor, a container whose dependency has failed does not start: it is an Error with the
    executor's own exit code, and so on for those that wait for it; the others go on.
    """

    def __init__(self, pod: Pod, limit: float | None) -> None:
        self._pod, self._limit = pod, limit
        self._deadline = None if limit is None else time.monotonic() + limit
        self._over = {container.name: asyncio.Event() for container in pod.template.containers}
        self._ended: dict[str, Ended] = {}
        self._failed: list[tuple[Container, str]] = []
        """In the order of their ends: those that failed by themselves, and why."""
        retry = pod.template.set_retry
        attempts, pause = pod.scope.render(retry.attempts), pod.scope.render(retry.pause)
        if not attempts.isdecimal() or int(attempts) < 1:
            raise NodeError(f"containerSet.retryStrategy.retries is {attempts!r}, not a number above 0")
        try:
            self._attempts, self._pause = int(attempts), duration(pause, "retryStrategy.duration")
        except ManifestError as error:
            raise NodeError(str(error)) from error

    async def run(self) -> Outcome:
        """Carry all of them out. Raises NodeError for a container that cannot be started at all."""
        containers = self._pod.template.containers
        self._pod.ctx.state.expect(
            Node(self._name(c), self._pod.template.name, "Container", parent=self._pod.node, queued_at=now())
            for c in containers
        )
        running = [asyncio.ensure_future(self._carried_out(container)) for container in containers]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in running:
                task.cancel()
            ends = await asyncio.gather(*running, return_exceptions=True)
        for end in ends:
            if isinstance(end, NodeError | OSError):
                raise end
        return await self._outcome()

    async def _outcome(self) -> Outcome:
        pod, main = self._pod, self._ended.get("main")
        code, result = (main.code, main.result) if main else (None, None)
        produced, missing = await asyncio.to_thread(_collect, pod, result, not self._failed)
        if any(ended.timed_out for ended in self._ended.values()):
            message = f"ran longer than {self._limit:g} s and was stopped"
            return Outcome(Phase.FAILED, message, code, produced, pod.tail(), timed_out=True)
        if self._failed:
            container, why = self._failed[0]
            tail = pod.tail(_place_of(pod, container)[1])
            return Outcome(Phase.FAILED, f"{container.name}: {why}", code, produced, tail)
        if missing:
            return Outcome(Phase.ERROR, missing, code, produced, pod.tail())
        return Outcome(Phase.SUCCEEDED, exit_code=code, produced=produced)

    async def _carried_out(self, container: Container) -> None:
        """One container, from its dependencies to its node's end."""
        try:
            for dependency in container.dependencies:
                await self._over[dependency].wait()
                ended = self._ended[dependency]
                if ended.timed_out:
                    self._stopped(container, ended)
                    return
                if ended.code:
                    self._refused(container, f"dependency '{dependency}' ended with exit code {ended.code}")
                    return
            await self._tried(container)
        except asyncio.CancelledError:
            self._stopped(container, Ended(143, None, False, None))
            raise
        except (NodeError, OSError) as error:
            self._put(container, phase=Phase.ERROR, message=str(error), finished_at=now())
            raise

    async def _tried(self, container: Container) -> None:
        """Its attempts, one after the other in the same place; their outputs together are its result."""
        results: list[str] = []
        log = _place_of(self._pod, container)[1]
        self._put(container, phase=Phase.RUNNING, started_at=now(), log=self._pod.ctx.relative(log))
        for number in range(self._attempts):
            if number:
                await asyncio.sleep(min(self._pause, self._left() or self._pause))
            try:
                capture = container.name == "main" and self._pod.template.name in self._pod.ctx.captured
                ended = await _run_container(self._pod, container, self._left(), capture=capture)
            except NoProgram as error:
                self._failed.append((container, str(error)))
                self._refused(container, str(error))
                return
            results += [ended.result] if ended.result else []
            ended = replace(ended, result=None if ended.result is None else "\n".join(results))
            if not ended.code or ended.timed_out:
                break
        if ended.timed_out:
            self._stopped(container, ended)
            return
        why = told(ended, _place_of(self._pod, container)[0] / "termination-log")
        if ended.code:
            self._failed.append((container, why))
        self._end(container, ended, why)

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.01, self._deadline - time.monotonic())

    def _stopped(self, container: Container, ended: Ended) -> None:
        reason = self._pod.ctx.stop_reason if not ended.timed_out else "the step's time was over"
        self._ended[container.name] = ended
        self._put(container, phase=Phase.FAILED, message=reason, finished_at=now(), exit_code=ended.code)
        self._over[container.name].set()

    def _refused(self, container: Container, message: str) -> None:
        self._end(container, Ended(NoProgram.CODE, None, False, None), message)

    def _end(self, container: Container, ended: Ended, message: str) -> None:
        phase = Phase.SUCCEEDED if not ended.code else Phase.FAILED
        if ended.code == NoProgram.CODE:  # the executor's own, whoever ended with it
            phase = Phase.ERROR
        self._ended[container.name] = ended
        tail = self._pod.tail(_place_of(self._pod, container)[1]) if phase.is_bad else ()
        self._put(
            container, phase=phase, message=message, exit_code=ended.code, finished_at=now(), log_tail=tail
        )
        self._over[container.name].set()

    def _name(self, container: Container) -> str:
        return f"{self._pod.name}.{container.name}"

    def _put(self, container: Container, **changes: Any) -> None:
        node = self._pod.ctx.state.nodes[self._name(container)]
        node = replace(node, **changes)
        started = node.started_at or (now() if node.phase.is_final else None)
        self._pod.ctx.state.put(replace(node, started_at=started))


def _collect(pod: Pod, result: str | None, complete: bool) -> tuple[Produced, str]:
    """The outputs that a program left behind, and a message about the first that is missing, if any.

    Of a program that failed (not `complete`) whatever is there is taken.
    """
    parameters: dict[str, str] = {}
    artifacts: dict[str, Path] = {}
    missing: list[str] = []
    for output in pod.template.outputs:
        if output.path is None:
            value = composed(output, pod.scope)
            parameters[output.name] = "" if value is None else value
            continue
        value = _content(output, _written(pod, output.path), pod.scope)
        if value is None:
            missing.append(
                f"output parameter '{output.name}' was not written: no file {output.path}"
                f"{_moved(pod, output.path)}"
            )
        else:
            parameters[output.name] = value
    store = pod.ctx.run_dir / "artifacts" / folder_name(pod.name)
    for artifact in pod.template.output_artifacts:
        produced = _written(pod, artifact.path or "")
        if produced.exists():
            # a volume as a whole stays where it is: other outputs may lie in it
            own = pod.paths.root if produced in pod.paths.volumes.values() else pod.folder
            name = folder_name(artifact.name)
            artifacts[artifact.name] = keep(
                produced, store / name / Path(artifact.path or "").name, name, own
            )
        elif not artifact.optional:
            missing.append(
                f"output artifact '{artifact.name}' was not written: no file or folder {artifact.path}"
                f"{_moved(pod, artifact.path or '')}"
            )
    return Produced(parameters, artifacts, result), missing[0] if complete and missing else ""


def _written(pod: Pod, path: str) -> Path:
    """Where an output lies, after a program that saw its declared paths, or one that was given others."""
    if not path.startswith("/") or not pod.paths.shown:
        return pod.paths.place(path)
    place = pod.paths.found(pod.paths.inside(path)) if pod.paths.shows(path) else pod.paths.place(path)
    if place.is_dir():
        pod.paths.lead_outside(place)
    return place


def _moved(pod: Pod, path: str) -> str:
    """A note on a path that lies elsewhere here, for a program that may have it built in; else nothing."""
    why = pod.paths.why_moved(path)
    return f" (a program that has the path built in does not find it here: {why})" if why else ""


def _content(output: Parameter, path: Path, scope: Scope) -> str | None:
    if not path.is_file():
        return None if output.default is None else scope.render(output.default)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise NodeError(f"output parameter '{output.name}' is not text in UTF-8: {error}") from error

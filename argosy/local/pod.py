"""One attempt at a container or script template: its folder, its program, its outputs."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from argosy.errors import UsageError
from argosy.local.artifacts import put
from argosy.local.companions import beside, initialized
from argosy.local.container_set import ContainerSet
from argosy.local.context import Context
from argosy.local.errors import NodeError, NoProgram
from argosy.local.fetch import FETCHERS, fetched
from argosy.local.folders import folder_name
from argosy.local.job import Inputs, Outcome, Produced
from argosy.local.model import Container, Template
from argosy.local.node import Phase
from argosy.local.outputs import collect
from argosy.local.paths import PathMap
from argosy.local.process import Ended
from argosy.local.program import PYTHONS, declared_paths, paths_of, program_of, told
from argosy.local.scope import parameter_variables
from argosy.local.standbys import Standby, Start
from argosy.step.program import TERMINATION_LOG


async def run_on_terminal(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Ended:
    """Run `argv` to its end with this process's own terminal; a Python module under pdb."""
    from argosy.local.debugger import QUIT

    settings = {key: value for key, value in env.items() if key != "PYTHONBREAKPOINT"}
    command = debugged(argv, cwd, settings.get("PYTHONPATH", ""))

    def run() -> int:
        return subprocess.run(command, cwd=cwd, env=settings, check=False).returncode

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C is pdb's
    with _terminal_as_it_was():
        code = await asyncio.to_thread(run)
    words = Path(settings[TERMINATION_LOG])
    if code == QUIT and not words.read_bytes():
        words.write_text("quit in the debugger")
    return Ended(128 - code if code < 0 else code, -code if code < 0 else None, False, None)


@contextmanager
def _terminal_as_it_was() -> Iterator[None]:
    """Give the terminal back as it was, whatever a program that was killed at a prompt made of it."""
    try:
        before = termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, ValueError, OSError):
        yield
        return
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


def debugged(argv: Sequence[str], cwd: Path, path: str) -> list[str]:
    """The command with pdb in it: `python -m MODULE` and `python FILE`; others raise UsageError."""
    if argv[0] != sys.executable or len(argv) < 2:
        raise UsageError(f"--debug opens Python's debugger; this step runs {argv[0]}")
    module, function = "", ""
    if argv[1] == "-m":
        module, function = argv[2], argv[2].rpartition(".")[2]
        if module == "argosy.step" and len(argv) > 3:
            module, _, function = argv[3].partition(":")
    file = _file_of(module, path) if module else cwd / argv[1]
    script = Path(__file__).with_name("debugger.py")
    return [argv[0], str(script), first_line(file, function), *argv[1:]]


def _file_of(module: str, path: str) -> Path:
    """The file of a module, which is not imported; one that is not there if nobody knows."""
    before = list(sys.path)
    sys.path[:0] = [folder for folder in path.split(":") if folder]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return Path()
    finally:
        sys.path[:] = before
    return Path(spec.origin or "") if spec else Path()


def first_line(file: Path, function: str) -> str:
    """`FILE:LINE` of the first statement of a function, or of the file; empty if unknown."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return ""
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            body = node.body
    if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return f"{file}:{body[0].lineno}" if body else ""


_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TAIL_LINES, _TAIL_BYTES = 20, 16 * 1024


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


class Pod:
    """The place of one attempt: `steps/<name>/` with `work`, `tmp`, `root` and `main.log`."""

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

    async def run(self, limit: float | None) -> Outcome:
        """Carry it out in at most `limit` seconds. A failed program is an outcome; raises NodeError."""
        self.ctx.tick()
        async with self.ctx.standbys.turn(self.node) as standby:
            await asyncio.to_thread(self._prepare, keep=standby is not None)
            variables, env = self.program.environment(self.last_words)
            try:
                if problem := await initialized(self, limit):
                    return Outcome(Phase.FAILED, problem, log_tail=self.tail())
                if self.template.containers:
                    async with beside(self) as failed:
                        outcome = await ContainerSet(self, limit).run()
                    return _with_sidecars(outcome, failed)
                argv = self.program.argv(variables, env, self.inputs.parameters)
                async with beside(self) as failed:
                    ended = await self._execute(argv, env, limit, standby)
            except NoProgram as error:
                return Outcome(Phase.FAILED, str(error), NoProgram.CODE, Produced(), self.tail())
        produced, missing = await asyncio.to_thread(collect, self, ended.result, ended.code == 0)
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

    def tail(self, log: Path | None = None) -> tuple[str, ...]:
        """The last lines of a log of the pod; the main program's if none is named."""
        log = log or self.log
        if not log.exists():
            return ()
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            return tuple(file.read().decode("utf-8", errors="replace").splitlines()[-_TAIL_LINES:])

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

    @property
    def last_words(self) -> Path:
        """Where the program may say in one line why it failed, as in a pod."""
        return self.folder / "termination-log"

    def _make_folders(self) -> None:
        for folder in (self.work, self.folder / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        self.last_words.touch()

    def _prepare(self, *, keep: bool) -> None:
        if not keep:  # a program that waits in the folder has made it anew
            shutil.rmtree(self.folder, ignore_errors=True)
            if (
                left := self.folder / "volumes"
            ).exists():  # another user's, as a container with Docker leaves it
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

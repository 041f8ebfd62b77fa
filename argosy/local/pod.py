"""One attempt at a container or script template: its folder, its program, its outputs."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from argosy.local.artifacts import FETCHERS, fetched, put
from argosy.local.companions import beside, initialized
from argosy.local.container_set import ContainerSet
from argosy.local.errors import NodeError, NoProgram
from argosy.local.folders import folder_name
from argosy.local.job import Outcome, Produced
from argosy.local.node import Phase
from argosy.local.on_terminal import run_on_terminal
from argosy.local.outputs import collect
from argosy.local.place import Place
from argosy.local.process import Ended
from argosy.local.program import PYTHONS, told
from argosy.local.standbys import Standby, Start

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def _with_sidecars(outcome: Outcome, failed: Sequence[str]) -> Outcome:
    """A pod that went well, but for a sidecar, has failed."""
    if failed and not outcome.phase.is_bad:
        return replace(outcome, phase=Phase.FAILED, message=failed[0])
    return outcome


class Pod(Place):
    """One attempt at a template that runs programs."""

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

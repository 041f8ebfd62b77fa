"""One container's program on this machine: its words, environment, working directory and volumes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from argosy.local import environment
from argosy.local.context import Context
from argosy.local.errors import NoProgram
from argosy.local.model import Container
from argosy.local.mounts import make
from argosy.local.paths import PathMap
from argosy.local.process import Ended, refuse_unfit
from argosy.local.scope import Scope
from argosy.step.program import TERMINATION_LOG

_WORDS_BYTES = 4096
PYTHONS = ("python", "python3")


class Program:
    """A container of a pod. `folder` is the pod's, `paths` say where the container's own paths lie."""

    def __init__(
        self, ctx: Context, container: Container, folder: Path, scope: Scope, paths: PathMap, pod_name: str
    ) -> None:
        self.ctx, self.container, self.folder = ctx, container, folder
        self.scope, self.paths, self.pod_name = scope, paths, pod_name

    def environment(self, last_words: Path) -> tuple[dict[str, str], dict[str, str]]:
        """The variables that the container declares, and all that the program gets."""
        variables = environment.declared(self.container, self.ctx, self.pod_name, self.word)
        own = {"TMPDIR": str(self.folder / "tmp"), TERMINATION_LOG: str(last_words)}
        return variables, {**self.ctx.environment, **own, **variables}

    def mount(self) -> None:
        """Make its volumes, one that another container of the pod has made included."""
        for mount in self.container.mounts:
            make(mount, self.paths.place(mount.path), self.ctx.kept, self.ctx.run_dir, self.folder)

    def working_dir(self, otherwise: Path) -> Path:
        """Where it starts: as the container says, or `otherwise`."""
        if not self.container.working_dir:
            return otherwise
        folder = self.paths.place(self.scope.render(self.container.working_dir))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def argv(
        self, variables: Mapping[str, str], env: Mapping[str, str], parameters: Mapping[str, str]
    ) -> list[str]:
        """Its command line. Raises NoProgram where this machine has none, NodeError for words too long."""
        words = [self.word(word, variables) for word in (*self.container.command, *self.container.args)]
        if self.container.source is not None:
            script = self.folder / "script"
            script.write_text(self.scope.render(self.container.source, self.paths.rewrite), "utf-8")
            words.append(str(script))
        return self.found(words, env, parameters)

    def found(self, words: list[str], env: Mapping[str, str], parameters: Mapping[str, str]) -> list[str]:
        """The words with the program's path in place of its name. Raises NoProgram and NodeError."""
        if words[0] in PYTHONS:
            words[0] = sys.executable
        program = shutil.which(words[0], path=env["PATH"]) if "/" not in words[0] else words[0]
        if program is None:
            raise NoProgram(words[0], "there is none on this machine; the image's programs are not used here")
        argv = [program, *words[1:]]
        refuse_unfit(argv, env, parameters)
        return argv

    def word(self, source: str, variables: Mapping[str, str]) -> str:
        """A word of the manifest: tags, declared paths and `$(NAME)` replaced."""

        def rewrite(literal: str, after_value: bool, before_value: bool) -> str:
            return environment.expand(self.paths.rewrite(literal, after_value, before_value), variables)

        return self.scope.render(source, rewrite)


def told(ended: Ended, last_words: Path) -> str:
    """Why a program failed: how it ended, and the line that it left as its last words."""
    with suppress(OSError):
        words = last_words.read_bytes()[:_WORDS_BYTES].decode("utf-8", errors="replace")
        if line := " ".join(words.split()):
            return f"{ended.message}: {line}"
    return ended.message


def declared_paths(container: Container) -> list[str]:
    """The paths that a container names itself: what it mounts, and where it works."""
    return [*(mount.path for mount in container.mounts), *filter(None, [container.working_dir])]

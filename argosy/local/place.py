"""The place of one attempt: its folders, paths, variables and main program, before anything is done there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from argosy.local.context import Context
from argosy.local.folders import folder_name
from argosy.local.job import Inputs
from argosy.local.model import Container, Template
from argosy.local.paths import PathMap
from argosy.local.program import PYTHONS, declared_paths, paths_of, program_of
from argosy.local.scope import parameter_variables

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


class Place:
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

"""A pod's other programs: init containers and sidecars, each with paths of its own.

Init containers run in order, and the first that fails is the pod's end. Sidecars run as long as the
main program and are asked to stop when it is over; as in Argo, one that ended by itself with an exit code
makes the pod Failed, one that was stopped does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from argosy.local.folders import folder_name
from argosy.local.model import Container
from argosy.local.place import Place
from argosy.local.process import Ended
from argosy.local.program import declared_paths, paths_of, program_of

_STOPPED = (137, 143)
"""Exit codes of a program that was stopped by a signal."""

_MOMENT = 0.1


async def initialized(pod: Place, limit: float | None) -> str:
    """Run the init containers in order; the message of the first that failed, or nothing."""
    for container in pod.template.init_containers:
        ended = await run_container(pod, container, limit)
        if ended.timed_out:
            return f"{container.name}: ran longer than {limit:g} s and was stopped"
        if ended.code:
            return f"{container.name}: {ended.message}"
    return ""


@asynccontextmanager
async def beside(pod: Place) -> AsyncIterator[list[str]]:
    """While inside the sidecars run; after it the list has the messages of those that failed."""
    failed: list[str] = []
    running = [asyncio.ensure_future(_watched(pod, side, failed)) for side in pod.template.sidecars]
    try:
        yield failed
    finally:
        await _stopped(running)


async def _stopped(running: Sequence[asyncio.Future[None]]) -> None:
    if running:  # what is about to end by itself is not stopped, as it would have an exit code of its own
        await asyncio.wait(running, timeout=_MOMENT)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _watched(pod: Place, container: Container, failed: list[str]) -> None:
    try:
        ended = await run_container(pod, container, None)
    except Exception as error:  # a program that is not there is a sidecar that failed
        failed.append(f"{container.name}: {error}")
        return
    if ended.code and ended.code not in _STOPPED:
        failed.append(f"{container.name}: {ended.message}")


def place_of(pod: Place, container: Container) -> tuple[Path, Path]:
    """The folder of one container of a pod, and its log."""
    if container is pod.container:
        return pod.folder, pod.log
    name = folder_name(container.name)
    return pod.folder / "containers" / name, pod.log.with_name(f"{name}.log")


async def run_container(
    pod: Place, container: Container, limit: float | None, *, capture: bool = False
) -> Ended:
    """Run one container of a pod to its end. Raises NodeError, NoProgram where there is no such program."""
    place, log = place_of(pod, container)
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

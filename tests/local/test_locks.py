"""Mutexes and semaphores of templates and workflows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from argosy.errors import ManifestError
from argosy.local.kept import CONFIG_MAP, Kept, Source
from argosy.local.shared import Lock, held
from tests.local.conftest import Run, node, phases

WORK = """
%s
templates:
- name: main
  dag: {tasks: [{name: a, template: w}, {name: b, template: w}, {name: c, template: w}]}
- name: w
  %s
  script:
    image: x
    command: [sh]
    source: |
      mkdir ../../../busy || exit 1
      sleep 0.2
      rmdir ../../../busy
"""


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize(
    "sync",
    [
        "{mutexes: [{name: one}]}",
        "{mutexes: [{name: 'm-{{workflow.name}}'}]}",
        "{semaphores: [{configMapKeyRef: {name: s, key: n}}]}",
    ],
)
def test_steps_with_one_lock_never_run_at_once(run: Run, sync: str) -> None:
    kept = Kept({Source(CONFIG_MAP, "s", "n"): "1"})
    result = run(WORK % ("", f"synchronization: {sync}"), kept=kept)
    assert phases(result) == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}


def test_a_semaphore_without_a_number_is_an_error(run: Run) -> None:
    result = run(WORK % ("", "synchronization: {semaphores: [{configMapKeyRef: {name: s, key: n}}]}"))
    assert "has to say how many places" in node(result, "a").message


def test_a_workflow_waits_for_one_that_holds_its_lock() -> None:
    order: list[str] = []
    lock = [Lock("shared")]

    async def one(name: str) -> None:
        async with held(lock, Kept(), str, lambda message: order.append(message)):
            order.append(f"{name} begins")
            await asyncio.sleep(0.1)
            order.append(f"{name} ends")

    async def both() -> None:
        await asyncio.gather(one("a"), one("b"))

    asyncio.run(both())
    told = [entry for entry in order if not entry.startswith("waiting")]
    assert told == ["a begins", "a ends", "b begins", "b ends"]
    assert "waiting for the mutex shared" in order


def test_a_semaphore_of_another_kind_is_refused(run: Run) -> None:
    with pytest.raises(ManifestError, match="a semaphore has its places from a configMapKeyRef"):
        run(WORK % ("", "synchronization: {semaphores: [{namespace: n}]}"))

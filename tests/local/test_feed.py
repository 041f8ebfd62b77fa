"""Loops with more items than can be at work: few of them wait as more than a line in the record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from argosy.local import Node, NullReporter, Phase
from argosy.local.feed import WAITING, Begun, Feed
from argosy.local.runs.cache import StepCache
from tests.local.conftest import Run, manifest, node, phases

COUNT = WAITING + 8
EACH = f"""
templates:
- name: main
  steps: [[{{name: each, template: leaf, withSequence: {{count: "{COUNT}"}}}}]]
- {{name: leaf, container: {{image: x, command: [sh, -c, 'CODE']}}}}
"""


def test_few_wait_and_all_that_may_begin() -> None:
    waiting = most = 0

    async def main() -> list[int]:
        slots = asyncio.Semaphore(3)

        async def job(number: int, begun: Begun) -> int:
            nonlocal waiting, most
            waiting += 1
            most = max(most, waiting)
            async with slots:
                waiting -= 1
                begun()
                begun()
                await asyncio.sleep(0)
            return number

        return await Feed(50, job, 5).results()

    assert asyncio.run(main()) == list(range(50))
    assert most == 5


def test_what_has_begun_keeps_nobody_waiting() -> None:
    async def main() -> list[None]:
        together = asyncio.Event()
        left = 50

        async def job(number: int, begun: Begun) -> None:
            nonlocal left
            begun()
            left -= 1
            if not left:
                together.set()
            await together.wait()

        return await asyncio.wait_for(Feed(50, job, 5).results(), 30)

    assert len(asyncio.run(main())) == 50


def test_after_one_that_raises_none_is_made() -> None:
    made, stopped = [], []

    async def job(number: int, begun: Begun) -> None:
        made.append(number)
        if number == 2:
            raise LookupError("2")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            stopped.append(number)
            raise

    with pytest.raises(LookupError, match="2"):
        asyncio.run(Feed(50, job, 5).results())
    assert made == [0, 1, 2, 3, 4] and stopped == [0, 1, 3, 4]


class Seen(NullReporter):
    """The phases of all nodes, as they were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Phase]] = []

    def on_node(self, node: Node) -> None:
        self.told.append((node.name, node.phase))


def test_all_items_are_known_before_one_begins(run: Run) -> None:
    seen = Seen()
    result = run(EACH.replace("CODE", "true"), reporter=seen)
    assert result.succeeded and len(result.nodes) == COUNT + 1
    first = seen.told.index(("each(0:0)", Phase.RUNNING))
    assert (f"each({COUNT - 1}:{COUNT - 1})", Phase.PENDING) in seen.told[:first]
    items = [item for item in result.nodes if item.kind == "Container"]
    assert [item.name for item in items] == [f"each({n}:{n})" for n in range(COUNT)]
    assert len({item.queued_at for item in items}) == 1


def test_items_that_never_began_end_with_the_run(run: Run) -> None:
    result = run(f"activeDeadlineSeconds: 1\n{EACH.replace('CODE', 'sleep 60')}", max_parallel=2)
    assert set(phases(result).values()) == {"Failed"} and len(result.nodes) == COUNT + 1
    assert node(result, f"each({COUNT - 1}:{COUNT - 1})").message == "the workflow ran longer than 1 s"
    again = run(EACH.replace("CODE", "true"), resume=True)
    assert again.succeeded and len(again.nodes) == COUNT + 1


def test_items_that_are_alike_are_reused_of_earlier_runs_alone(run: Run, tmp_path: Path) -> None:
    spec = EACH.replace("CODE", "true")
    templates = {template["name"]: template for template in manifest(spec)["spec"]["templates"]}
    reused = []
    for name in ("one", "two"):
        folder = tmp_path / "runs" / name
        cache = StepCache(tmp_path, name, folder, templates, (), everything=True)
        reused.append({item.reused for item in run(spec, folder=f"runs/{name}", reuse=cache).nodes[1:]})
    assert reused == [{None}, {"one"}]

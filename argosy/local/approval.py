"""Who lets a suspended step go on: the command line, or the person at the terminal."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from argosy.errors import UsageError
from argosy.local.model import Workflow
from argosy.text import did_you_mean, one_line

EXIT_HANDLER = "onExit"
"""Name of the workflow's exit handler among the nodes, and suffix of a task's."""
_WORD = re.compile(r"((?:[^:()]|\([^()]*\))+)(?::([^=]+)=(.*))?", re.DOTALL)  # an item: `review(0:a)`
_LOOP_ITEM = re.compile(r"\(.*\)$")


Ask = Callable[[str], Awaitable[bool | None]]
"""Asks whether a step may go on; the answer is None where nobody is there any more."""


@dataclass(frozen=True)
class Approval:
    """Steps that were approved beforehand, with the outputs supplied to them, and who is asked about others.

    A step is named by its node (`review`, in a nested template `outer.review`) or by the last part of it.
    """

    given: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ask: Ask | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, compare=False, repr=False)

    @classmethod
    def read(cls, words: Iterable[str], ask: Ask | None) -> Approval:
        """From words `STEP` and `STEP:NAME=VALUE`. Raises UsageError."""
        given: dict[str, dict[str, str]] = {}
        for word in words:
            match = _WORD.fullmatch(word)
            if match is None:
                raise UsageError(f"--approve {word!r} is neither STEP nor STEP:NAME=VALUE")
            step, name, value = match.groups()
            given.setdefault(step, {}).update({name: value} if name else {})
        return cls(given, ask)

    def check(self, workflow: Workflow) -> None:
        """Refuse a step that never waits, and an output that it does not declare. Raises UsageError."""
        waiting = suspended_steps(workflow)
        for name, supplied in self.given.items():
            outputs = waiting.get(_LOOP_ITEM.sub("", name.rpartition(".")[2]))
            if outputs is None:
                told = did_you_mean(name, waiting) or "; no step of this workflow waits"
                raise UsageError(f"--approve {name}: no step of that name waits for approval{told}")
            for output in supplied.keys() - outputs:
                told = did_you_mean(output, sorted(outputs)) or "; it has no outputs"
                raise UsageError(f"--approve {name}:{output}: the step has no output '{output}'{told}")

    def beforehand(self, node: str) -> Mapping[str, str] | None:
        """The outputs supplied to a step that was approved beforehand; None of another."""
        return next((self.given[n] for n in (node, node.rpartition(".")[2]) if n in self.given), None)

    async def of(self, node: str) -> Mapping[str, str] | None:
        """The outputs supplied to a step that is approved; None of one that nobody approves."""
        supplied = self.beforehand(node)
        if supplied is not None:
            return supplied
        return {} if await self._answer(node) else None

    async def within(self, node: str, seconds: float) -> Mapping[str, str] | None:
        """The same of a step that goes on by itself after a time, without supplied outputs.

        None where somebody who is asked says no.
        """
        over = asyncio.create_task(asyncio.sleep(seconds))
        try:
            answer = await asyncio.wait_for(self._answer(node), seconds)
            if answer is None:
                await over
        except asyncio.TimeoutError:
            answer = True
        finally:
            over.cancel()
        return None if answer is False else {}

    async def _answer(self, node: str) -> bool | None:
        """The answer of the person who is there; None without one."""
        if self.ask is None:
            return None
        async with self._asking:  # one question at a time
            return await self.ask(node)


def suspended_steps(workflow: Workflow) -> dict[str, set[str]]:
    """The outputs of all steps that are suspended, by their names without what they are inside of."""
    suspended = {name: t for name, t in workflow.templates.items() if t.suspended is not None}
    calls = [call for template in workflow.templates.values() for call in template.calls]
    templates = [(workflow.entrypoint, workflow.entrypoint), *((call.name, call.template) for call in calls)]
    for hooks in (workflow.hooks, *(call.hooks for call in calls)):
        templates += [(name, hook.template) for name, hook in hooks.items()]
    for end in (workflow.on_exit, *(call.exit_hook for call in calls)):
        templates += [(EXIT_HANDLER, end.template)] if end else []
    found: dict[str, set[str]] = {}
    for name, template in sorted(templates):
        if template in suspended:
            found.setdefault(name, set()).update(output.name for output in suspended[template].outputs)
    return found


async def ask_terminal(node: str) -> bool | None:
    """Ask the person at the terminal, who may as well stop the run: no thread is left reading.

    The answer is None once the terminal is gone.
    """
    sys.stderr.write(f"approve '{one_line(node)}'? [y/N] ")
    sys.stderr.flush()
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), answered.set)
    try:
        await answered.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except OSError:
        return None

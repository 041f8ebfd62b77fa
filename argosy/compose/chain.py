"""What a bare step of Couler comes after: outside of `couler.dag` steps run in the order of the program.

The functions of one `couler.concurrent` start together, and what follows waits for them all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import FrameType

Names = dict[str, None]


@dataclass
class _Fork:
    """A `couler.concurrent` going on: its frame, the function it is at, what came before, the ends."""

    frame: FrameType
    branch: int
    start: Names
    ends: Names = field(default_factory=dict)


class Chain:
    """The last tasks of one DAG, in the order of the program."""

    def __init__(self) -> None:
        self._last: Names = {}
        self._forks: list[_Fork] = []

    def before(self, forks: list[FrameType]) -> Names:
        """The tasks that the next step waits for, inside the calls of `concurrent` with these frames."""
        self._join(forks)
        for depth, frame in enumerate(forks):
            branch = len(frame.f_locals.get("function_rets", ()))
            if depth == len(self._forks):
                self._forks.append(_Fork(frame, branch, dict(self._last)))
            elif self._forks[depth].branch != branch:
                fork = self._forks[depth]
                fork.ends |= self._last
                fork.branch, self._last = branch, dict(fork.start)
        return self._last

    def _join(self, forks: list[FrameType]) -> None:
        while self._forks:
            depth = len(self._forks) - 1
            if depth < len(forks) and forks[depth] is self._forks[depth].frame:
                return
            self._last = self._forks.pop().ends | self._last

    def then(self, name: str) -> None:
        """The next step waits for this task alone."""
        self._last = {name: None}

    def beside(self, name: str, forks: list[FrameType], in_place_of: Iterable[str]) -> None:
        """The next step waits for this task, too, and no longer for those that it waits for itself."""
        self.before(forks)
        for other in in_place_of:
            self._last.pop(other, None)
        self._last[name] = None

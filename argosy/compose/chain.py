"""What a bare step of Couler comes after: outside of `couler.dag` steps run in the order of the program.

The functions of one `couler.concurrent` start together, and what follows waits for them all.
"""

from dataclasses import dataclass, field
from types import FrameType


@dataclass
class _Fork:
    """A `couler.concurrent` going on: its frame, the function it is at, what came before, the ends."""

    frame: FrameType
    branch: int
    start: list[str]
    ends: list[str] = field(default_factory=list)


class Chain:
    """The last tasks of one DAG, in the order of the program."""

    def __init__(self) -> None:
        self._last: list[str] = []
        self._forks: list[_Fork] = []

    def before(self, forks: list[FrameType]) -> list[str]:
        """The tasks that the next step waits for, inside the calls of `concurrent` with these frames."""
        self._join(forks)
        for depth, frame in enumerate(forks):
            branch = len(frame.f_locals.get("function_rets", ()))
            if depth == len(self._forks):
                self._forks.append(_Fork(frame, branch, self._last))
            elif self._forks[depth].branch != branch:
                fork = self._forks[depth]
                fork.ends += self._last
                fork.branch, self._last = branch, fork.start
        return self._last

    def _join(self, forks: list[FrameType]) -> None:
        while self._forks:
            depth = len(self._forks) - 1
            if depth < len(forks) and forks[depth] is self._forks[depth].frame:
                return
            self._last = list(dict.fromkeys([*self._forks.pop().ends, *self._last]))

    def then(self, name: str) -> None:
        """The next step waits for this task alone."""
        self._last = [name]

    def beside(self, name: str) -> None:
        """The next step waits for this task, too."""
        self._last = [*self._last, name]

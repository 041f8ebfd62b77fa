"""A session for a program that Python runs by itself, without `couler run`."""

import atexit
from contextlib import ExitStack

from couler.core import states

from argosy.cluster.session import open_session, session
from argosy.errors import UsageError

_program = ExitStack()


def compose_from_here(program: str) -> None:
    """Open a session until the interpreter ends, unless one is open.

    Raises:
        UsageError: the program has composed already, where nobody saw it.
    """
    if open_session() is not None:
        return
    if states.workflow.steps or states.workflow.dag_tasks:
        raise UsageError(f"{program}: composes before it imports ArgosySubmitter; import it at the top")
    _program.enter_context(session(program))
    atexit.register(_program.close)

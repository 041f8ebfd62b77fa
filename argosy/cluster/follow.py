"""A workflow in a cluster, followed to its end."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from argosy.cluster.api import WORKFLOW, Api
from argosy.cluster.failures import ForbiddenError, NotFoundError, Patience, SubmitError, TransientError
from argosy.cluster.nodes import FINISHED, phase_of

FOLLOWING = Patience(attempts=12, first=0.5, longest=30.0)
_QUIET = 1.0
"""Seconds between one stream and the next, and between looks where the server allows no stream."""


def follow(
    api: Api,
    namespace: str,
    name: str,
    patience: Patience | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """The states of a workflow, the last one finished; a lost connection is taken up again.

    Raises:
        SubmitError: the workflow was deleted, or the server stays away.
    """
    patience = patience or FOLLOWING
    failures = 0
    while True:
        try:
            for workflow in _states(api, namespace, name):
                failures = 0
                yield workflow
                if phase_of(workflow) in FINISHED:
                    return
        except NotFoundError:
            raise SubmitError(f"Workflow '{name}' was deleted from namespace '{namespace}'") from None
        except TransientError:
            failures += 1
            if failures >= patience.attempts:
                raise
        sleep(patience.pause(failures) if failures else _QUIET)


def _states(api: Api, namespace: str, name: str) -> Iterator[dict[str, Any]]:
    workflow = api.get(WORKFLOW, namespace, name)
    yield workflow
    try:
        yield from api.changes(namespace, workflow)
    except ForbiddenError:
        return  # to read is allowed, to watch is not: the next look comes soon

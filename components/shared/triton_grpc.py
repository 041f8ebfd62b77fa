"""Loads and unloads over gRPC.

An HTTP load holds one of the server's few HTTP threads, and the clients whose connections live on it, until
it is over; a gRPC load disturbs nobody.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

from argosy.components.shared.triton_errors import TritonRefused, TritonTimeout, TritonUnreachable, one_line
from argosy.errors import StepError

log = logging.getLogger(__name__)

Verb = Literal["load", "unload"]
_HELLO_SECONDS = 5.0


def control(address: str, verb: Verb, model: str, seconds: float, config: str | None = None) -> bool:
    """Load or unload a model, within `seconds`; False, with a warning, where no gRPC service answers there.

    Raises:
        TritonRefused: the server's own answer is an error.
        TritonTimeout: no answer in time; the server may still be at it.
        TritonUnreachable: the connection broke during the call.
    """
    from tritonclient import grpc
    from tritonclient.utils import InferenceServerException

    with grpc.InferenceServerClient(address) as client:
        try:
            # Asked first: once a load has begun, a broken connection must not make it begin over HTTP too.
            client.is_server_live(client_timeout=min(_HELLO_SECONDS, seconds))
        except InferenceServerException as error:
            log.warning(
                "Triton's gRPC service at %s does not answer (%s): %s over HTTP, which may delay clients",
                *(address, one_line(error.message()), verb),
            )
            return False
        try:
            if verb == "load":
                client.load_model(model, config=config, client_timeout=seconds)
            else:
                client.unload_model(model, client_timeout=seconds)
        except InferenceServerException as error:
            raise _error(address, f"{verb} {model!r}", error, seconds) from error
    return True


def _error(address: str, action: str, error: Any, seconds: float) -> StepError:
    status = str(error.status())
    if status.endswith("DEADLINE_EXCEEDED"):
        return TritonTimeout(f"Triton at {address} did not {action} within {seconds:.0f} s")
    if status.endswith("UNAVAILABLE"):
        return TritonUnreachable(f"Triton at {address} does not answer: {one_line(error.message())}")
    return TritonRefused(action, one_line(error.message()))

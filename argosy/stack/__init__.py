"""The embedded stack: what production has, on one machine and on loopback only."""

from argosy.stack.endpoints import Endpoints, S3Endpoint, TritonEndpoint
from argosy.stack.stack import Stack
from argosy.stack.state import default_state_dir
from argosy.stack.status import ServiceStatus, StackStatus
from argosy.stack.triton_install import prepare_triton

__all__ = [
    "Endpoints",
    "S3Endpoint",
    "ServiceStatus",
    "Stack",
    "StackStatus",
    "TritonEndpoint",
    "default_state_dir",
    "prepare_triton",
]

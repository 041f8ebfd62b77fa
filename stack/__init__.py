"""The embedded stack of image classification: what production has, on one machine and on loopback only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argosy.local.stacks import ServiceStatus, StackStatus
    from argosy.stack.service import Endpoints, S3Endpoint, TritonEndpoint
    from argosy.stack.serving import prepare_triton
    from argosy.stack.stack import Stack
    from argosy.stack.state import default_state_dir

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
# Loaded on first use: the names of the stack's parameters are asked without its servers.
_MODULES = {
    "Endpoints": "argosy.stack.service",
    "S3Endpoint": "argosy.stack.service",
    "ServiceStatus": "argosy.local.stacks",
    "Stack": "argosy.stack.stack",
    "StackStatus": "argosy.local.stacks",
    "TritonEndpoint": "argosy.stack.service",
    "default_state_dir": "argosy.stack.state",
    "prepare_triton": "argosy.stack.serving",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)

"""What goes into a step and what comes out; see `argosy.step.interface`."""

from __future__ import annotations

from argosy.step.interface import (
    ENTRYPOINT,
    INPUTS_DIR,
    OUTPUTS_DIR,
    REQUIRED,
    Interface,
    Port,
    argo_name,
)

__all__ = ["ENTRYPOINT", "INPUTS_DIR", "OUTPUTS_DIR", "REQUIRED", "Interface", "Port", "argo_name"]

"""Submission: from a manifest, or a Couler program, to a cluster."""

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argosy.cluster.delivery import Delivered, check_manifest, deliver
    from argosy.cluster.destination import Destination
    from argosy.cluster.submitter import ArgosySubmitter

__all__ = ["ArgosySubmitter", "Delivered", "Destination", "check_manifest", "deliver"]
_MODULES = {
    "ArgosySubmitter": "submitter",
    "Delivered": "delivery",
    "Destination": "destination",
    "check_manifest": "delivery",
    "deliver": "delivery",
}


def __getattr__(name: str) -> Any:
    """Load on first use: Couler and the Kubernetes client take a second.

    The program that Python runs composes from its import of ArgosySubmitter on.
    """
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    if name == "ArgosySubmitter" and (program := _program(sys._getframe(1))):
        from argosy.cluster.program import compose_from_here

        compose_from_here(program)
    return value


def _program(frame: FrameType | None) -> str | None:
    """The file that Python runs, if it is what imports."""
    while frame is not None and frame.f_code.co_filename.startswith("<frozen"):
        frame = frame.f_back
    if frame is None or frame.f_globals.get("__name__") != "__main__" or frame.f_code.co_name != "<module>":
        return None
    return frame.f_code.co_filename

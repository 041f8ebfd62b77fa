"""Argosy: typed steps and conditional pipelines for Argo Workflows, composed with Couler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from argosy.declare.approval import approval
from argosy.declare.component import Component, component
from argosy.declare.container import Toleration
from argosy.declare.pipeline import TTL, Pipeline, Schedule, pipeline
from argosy.declare.pod import FromConfigMap, FromField, FromSecret, Resources, Scratch, SharedMemory, Volume
from argosy.declare.retry import Retry
from argosy.step.interface import Artifact, Directory, File, Stored
from argosy.step.outputs import Outputs
from argosy.step.quiet import keep_errors_last

if TYPE_CHECKING:
    from argosy.compose.compiler import compile
    from argosy.compose.ending import Ending, on_exit
    from argosy.declare.referenced import template_ref
    from argosy.reuse.kfp_load import load_component
    from argosy.reuse.library import Library, load_library

__version__ = "0.1.0"

__all__ = [
    "TTL",
    "Artifact",
    "Component",
    "Directory",
    "Ending",
    "File",
    "FromConfigMap",
    "FromField",
    "FromSecret",
    "Library",
    "Outputs",
    "Pipeline",
    "Resources",
    "Retry",
    "Schedule",
    "Scratch",
    "SharedMemory",
    "Stored",
    "Toleration",
    "Volume",
    "approval",
    "compile",
    "component",
    "load_component",
    "load_library",
    "on_exit",
    "pipeline",
    "template_ref",
]

keep_errors_last()

# Few programs need these: they are imported on first use. A step's container does not have them.
_LATER = {
    "compile": "argosy.compose.compiler",
    "Ending": "argosy.compose.ending",
    "on_exit": "argosy.compose.ending",
    "Library": "argosy.reuse.library",
    "load_component": "argosy.reuse.kfp_load",
    "load_library": "argosy.reuse.library",
    "template_ref": "argosy.declare.referenced",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(_LATER[name]), name)
    except ModuleNotFoundError as error:
        if not f"{_LATER[name]}.".startswith(f"{error.name}."):
            raise
    from argosy.step.absent import Absent

    return Absent(f"argosy.{name}")

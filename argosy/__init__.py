"""Argosy: typed steps and conditional pipelines for Argo Workflows, composed with Couler."""

from argosy.artifacts import Directory, File
from argosy.compiler import compile
from argosy.component import Component, component
from argosy.container import Toleration
from argosy.environment import FromConfigMap, FromField, FromSecret
from argosy.outputs import Outputs
from argosy.pipeline import TTL, Pipeline, pipeline
from argosy.resources import Resources
from argosy.retry import Retry
from argosy.schedule import Schedule
from argosy.volumes import Scratch, SharedMemory, Volume

__version__ = "0.1.0"

__all__ = [
    "TTL",
    "Component",
    "Directory",
    "File",
    "FromConfigMap",
    "FromField",
    "FromSecret",
    "Outputs",
    "Pipeline",
    "Resources",
    "Retry",
    "Schedule",
    "Scratch",
    "SharedMemory",
    "Toleration",
    "Volume",
    "compile",
    "component",
    "pipeline",
]

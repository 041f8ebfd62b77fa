"""Steps that tell people."""

from typing import TYPE_CHECKING

from argosy.declare.library import component_library

if TYPE_CHECKING:
    from argosy.components.notification.notify import notify

__all__ = ["notify"]

component_library(__name__)

"""A run as one HTML page that needs no network, and the server that keeps it fresh while the run goes on."""

from argosy.errors import ArgosyError
from argosy.local.runs.page.render import page_data, render_page, write_page
from argosy.local.runs.record import Record
from argosy.local.stacks import Told, stack_kind

__all__ = ["page_data", "render_page", "told", "write_page"]


def told(record: Record) -> Told:
    """The account that the servers of the project's stack give of a run now; empty without a stack."""
    try:
        kind = stack_kind()
    except ArgosyError:  # several stacks, or none that can be loaded: a run is shown all the same
        kind = None
    return kind.told(record.head.get("parameters", {}), record.nodes) if kind and kind.told else {}

"""A run as one HTML page that needs no network, and the server that keeps it fresh while the run goes on."""

from argosy.local.runs.page.deployments import deployments
from argosy.local.runs.page.render import Told, page_data, render_page, write_page
from argosy.local.runs.page.training import training
from argosy.local.runs.record import Record

__all__ = ["page_data", "render_page", "told", "write_page"]


def told(record: Record) -> Told:
    """The account of the run's servers now."""
    return {"training": training(record), "deployments": deployments(record)}

"""The components that come with Argosy."""

from argosy.catalogue.discover import find_components

ENTRIES = {entry.component.interface.name: entry.component for entry in find_components()}

"""A component that declares where its code is, and what it needs."""

from argosy import component


@component(image="python:3.11-slim", code="bundle", packages=["pandas==2.2.3", "attrs"])
def greet(who: str) -> None:
    """Greet somebody."""

"""A person decides: the workflow waits until somebody resumes it; after an hour it goes on by itself."""

import couler.argo as couler
from steps import say

from argosy import approval, pipeline


@pipeline()
def ask_first() -> None:
    """Prepare, ask, act."""
    prepared = say.options(name="prepare")(text="ready")
    ask = couler.set_dependencies(approval(timeout=3600), dependencies=[prepared])
    couler.set_dependencies(lambda: say.options(name="act")(text="done"), dependencies=[ask])

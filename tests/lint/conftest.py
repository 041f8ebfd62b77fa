"""Hypothesis for the linter's tests: the same examples on every machine, nothing left in the repository."""

import tempfile
from pathlib import Path

from hypothesis import configuration, settings

configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "argosy-hypothesis")
settings.register_profile("argosy", database=None, derandomize=True, deadline=None)
settings.load_profile("argosy")

"""What the tests of the images and of the workflows share."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def lock(repository: Path) -> ModuleType:
    """containers/lock.py as a module; its folder is no package."""
    spec = importlib.util.spec_from_file_location("containers_lock", repository / "containers" / "lock.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses and friends look a module up by its name while it is executed.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

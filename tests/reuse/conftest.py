"""KFP's own SDK, in an environment of its own: its dependencies and ours need not agree."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

KFP = "kfp==2.17.*"


@pytest.fixture(scope="session")
def kfp_python() -> Path:
    """A Python that imports kfp; made once, and kept beside the environment of the tests."""
    home = Path(sys.prefix) / "share" / "argosy-test" / "kfp"
    python, done = home / "bin" / "python", home / "complete"
    if not done.is_file():
        home.parent.mkdir(parents=True, exist_ok=True)
        venv.create(home, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", KFP]
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
        if installed.returncode:
            pytest.skip(f"pip cannot install {KFP}: {installed.stderr.strip().splitlines()[-1]}")
        done.touch()
    return python

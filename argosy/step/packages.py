"""`python -m argosy.step.packages FOLDER KEY MODULE ...`: install a step's packages, then become the step.

The packages are those of `argosy-packages/KEY.txt` in the bundle, each with its hashes; pip checks them.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn, Sequence  # noqa: UP035 - Python 3.9

from argosy.step.errors import StepError

log = logging.getLogger("argosy.step")

LISTS = "argosy-packages"
"""The folder of the lists in the bundle."""
_TOLD = 2000


def install(folder: Path, listed: bytes) -> None:
    """Install locked packages into a folder; the log says how long it took.

    Raises:
        StepError: pip is not there, or a package does not come, or has another hash.
    """
    start = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    requirements = folder / "requirements.txt"
    requirements.write_bytes(listed)
    command = [sys.executable, "-m", "pip", "install", "--target", str(folder), "--require-hashes"]
    command += ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--quiet"]
    command += [] if os.environ.get("PIP_CACHE_DIR") else ["--no-cache-dir"]
    done = subprocess.run([*command, "-r", str(requirements)], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise StepError(f"the packages could not be installed: {said[-_TOLD:]}")
    seconds = time.monotonic() - start
    log.info("packages installed in %.1f s; an image that 'argosy build' makes has them already", seconds)


def main(argv: Sequence[str]) -> NoReturn:
    """Install, and go on as `python -m MODULE ...`."""
    from argosy.step.program import begin_log, say

    folder, key, *step = argv
    begin_log()
    try:
        install(Path(folder), _listed(key))
    except (StepError, OSError) as error:
        sys.exit(say("argosy.step", str(error), StepError.exit_code))
    os.execv(sys.executable, [sys.executable, "-m", *step])


def _listed(key: str) -> bytes:
    bundle = Path(__file__).parent.parent.parent
    loader = globals()["__loader__"]
    content: bytes = loader.get_data(str(bundle / LISTS / f"{key}.txt"))
    return content


if __name__ == "__main__":
    main(sys.argv[1:])

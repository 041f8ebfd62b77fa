"""Where downloads and decoded images are kept from one run to the next."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "ARGOSY_CACHE_DIR"


def cache_folder(name: str) -> Path:
    """The folder `name` of the cache: below $ARGOSY_CACHE_DIR, or else the system's temporary folder.

    Everything in it can be made again. A volume that outlives the pod, named by the variable, spares the next
    run the download and the decoding.
    """
    root = os.environ.get(VARIABLE) or Path(tempfile.gettempdir()) / "argosy-cache"
    return Path(root) / name

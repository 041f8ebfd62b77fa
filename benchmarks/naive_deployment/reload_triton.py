"""5. Tell Triton to load the model, and wait until the version is ready."""

import time

from common import MODEL, TRITON, read, session

version = read("triton_version.txt")
session.post(f"{TRITON}/v2/repository/models/{MODEL}/load", json={}, timeout=300).raise_for_status()
while session.get(f"{TRITON}/v2/models/{MODEL}/versions/{version}/ready", timeout=30).status_code != 200:
    time.sleep(0.5)

"""7. Send a random picture to the version and look at the shape of the answer."""

import math
import os

import numpy as np
from common import MODEL, TRITON, read, session

version = read("triton_version.txt")
shape = [int(size) for size in os.environ["INPUT_SHAPE"].split(",")]
url = f"{TRITON}/v2/models/{MODEL}/versions/{version}"
name = session.get(url, timeout=30).json()["inputs"][0]["name"]
image = np.random.default_rng(0).standard_normal(math.prod(shape)).tolist()
tensor = {"name": name, "shape": shape, "datatype": "FP32", "data": image}
answer = session.post(f"{url}/infer", json={"inputs": [tensor]}, timeout=30)
answer.raise_for_status()
found = answer.json()["outputs"][0]["shape"]
if found != [1, 10]:
    raise SystemExit(f"version {version} answers with shape {found}")

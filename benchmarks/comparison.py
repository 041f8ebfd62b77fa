"""How long Gate 3 takes: 200 validation images through the live version and the candidate."""

import json
import statistics
from datetime import datetime

from benchmarks.deployment import MODEL, REPEATS, Bench, bench
from benchmarks.harness import Result

LIMIT_SECONDS = 15.0


def comparison_200() -> Result:
    """The step of a deployment with compare=true, from its start to its end, loads and pictures included."""
    with bench() as one:
        one.deploy()
        times = [_compared(one) for _ in range(REPEATS)]
    note = "200 images, a ResNet18 of 32 pixels"
    return Result("comparison_200_s", statistics.median(times), "s", limit=LIMIT_SECONDS, note=note)


def _compared(one: Bench) -> float:
    # The same network twice: only the noise of a busy machine could make it fail.
    limits = json.dumps({"max_p50_ratio": 1000, "max_p95_ratio": 1000})
    values = {"model-name": MODEL, "compare": "true", "comparison-limits": limits}
    words = [word for name, value in values.items() for word in ("-p", f"{name}={value}")]
    found = one.argosy("run", "deploy-model-image-classification", *words, "--output", "json")
    (node,) = (node for node in found["nodes"] if node["name"] == "compare-live")
    if node["outputs"]["parameters"]["result"] != "passed":
        raise RuntimeError(f"the same network did not pass: {node['outputs']}")
    start, end = (
        datetime.fromisoformat(node[name].replace("Z", "+00:00")) for name in ("startedAt", "finishedAt")
    )
    return (end - start).total_seconds()

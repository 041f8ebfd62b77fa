"""What clients of a model notice while it is swapped: by reload-triton over gRPC, and by a plain HTTP load.

Two models with the bytes of the same ResNet18 are swapped in turn, each under the same steady load.  Only
requests count that were under way during a swap, from the call of the load until the new version is ready.
"""

import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import requests

from argosy.components.deployment import reload_triton, update_aliases
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.model.onnx_model import read_signature
from argosy.components.deployment.model.triton_config import model_config
from argosy.components.shared import registry, s3
from argosy.stack import Stack
from argosy.stack.service import Endpoints
from benchmarks.harness import Result

SWAPS = 8
# Requests a second; they keep about a tenth of two cores busy.
RATE = 24.0
KEPT = 2
SETTLE_SECONDS = 1.0
LIMIT_MS = 100.0


@dataclass
class Noticed:
    """What the requests during all swaps met: milliseconds, what went wrong; and the seconds of each swap."""

    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    swaps: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return float(np.percentile(self.latencies, 99))

    @property
    def worst(self) -> float:
        return max(self.latencies)


@dataclass(frozen=True)
class Side:
    """One model on the stack, and its way to swap."""

    at: Endpoints
    model: str
    swap: Callable[["Side", int], None]
    noticed: Noticed = field(default_factory=Noticed)

    def publish(self, version: int, network: bytes, config: str) -> None:
        bucket, keys = s3.connect(self.at.s3.bucket), ModelKeys("models", self.model)
        bucket.write_if_absent(keys.config, config.encode())
        bucket.write_if_absent(keys.version(version) + "model.onnx", network)
        client = registry.connect(self.at.mlflow)
        registry.ensure_model(client, self.model)
        client.create_model_version(self.model, f"s3://{bucket.name}/{keys.version(version)}")

    def prune(self, version: int) -> None:
        """Every load of Triton fetches all versions of a model: only those stay that may be served."""
        bucket, keys = s3.connect(self.at.s3.bucket), ModelKeys("models", self.model)
        if version > KEPT:
            bucket.delete_below(keys.version(version - KEPT))

    def go_live(self, version: int) -> None:
        """The step after the swap: the registry learns what is live."""
        update_aliases(
            model_version=str(version),
            triton_version=version,
            model_name=self.model,
            mlflow_tracking_uri=self.at.mlflow,
            owner=f"workflow-{version}",
            s3_bucket=self.at.s3.bucket,
        )

    def swap_under_load(self, version: int) -> None:
        """Swap while the clients are at work; note what those requests met that the swap could have met."""
        with clients(self.at, self.model) as finish:
            time.sleep(SETTLE_SECONDS)
            start = time.monotonic()
            self.swap(self, version)
            end = time.monotonic()
            time.sleep(SETTLE_SECONDS)
            log = finish()
        during = [(due, done, wrong) for due, done, wrong in log if due <= end and done >= start]
        self.noticed.swaps.append(end - start)
        self.noticed.latencies += [(done - due) * 1000 for due, done, _ in during]
        self.noticed.failures += [wrong for _, _, wrong in during if wrong]


def by_reload_triton(side: Side, version: int) -> None:
    """The deployment's own step."""
    reload_triton(
        triton_version=version,
        model_name=side.model,
        triton_url=side.at.triton.http,
        triton_grpc_url=side.at.triton.grpc,
        owner=f"workflow-{version}",
        mlflow_tracking_uri=side.at.mlflow,
        s3_bucket=side.at.s3.bucket,
    )


def by_http(side: Side, version: int) -> None:
    """The naive way: tell Triton to load the model, and wait for the version."""
    url = f"{side.at.triton.http}/v2"
    requests.post(f"{url}/repository/models/{side.model}/load", json={}, timeout=120).raise_for_status()
    while requests.get(f"{url}/models/{side.model}/versions/{version}/ready", timeout=30).status_code != 200:
        time.sleep(0.1)


@contextmanager
def clients(at: Endpoints, model: str) -> Iterator[Callable[[], list[tuple[float, float, str]]]]:
    """Clients at work, in a process of their own; the call that it gives ends them: what they met."""
    command = [sys.executable, "-m", "benchmarks.swap_clients", at.triton.http.removeprefix("http://")]
    with subprocess.Popen(
        [*command, at.triton.grpc, model, str(RATE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield lambda: json.loads(process.communicate(timeout=60)[0])
        finally:
            process.kill()


def resnet18(folder: Path) -> Path:
    """A ResNet18 for images of 32 by 32, with random weights: they cost what trained ones do."""
    from argosy.components.training.export import export_onnx
    from argosy.components.training.network.model import build_model

    path = folder / "model.onnx"
    export_onnx(build_model("resnet18", 10).eval(), (3, 32, 32), path, {})
    return path


@functools.cache
def measure() -> tuple[Noticed, Noticed]:
    """Our side and the naive one, swapped in turn."""
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder, mock.patch.dict(os.environ):
        network = resnet18(Path(folder))
        stack = Stack(Path(folder) / "state")
        try:
            at = stack.up()
            os.environ.update(stack.environment())
            return compare(at, network)
        finally:
            stack.down()


def compare(at: Endpoints, network: Path) -> tuple[Noticed, Noticed]:
    """Publish, serve and swap both models."""
    ours, naive = Side(at, "by-name", by_reload_triton), Side(at, "plain", by_http)
    signature = read_signature(network)
    latest = "version_policy { latest { num_versions: 1 } }"
    configs = {side.model: model_config(side.model, signature) for side in (ours, naive)}
    configs[naive.model] = configs[naive.model].replace("version_policy {\n  specific {\n  }\n}", latest)
    for version in range(1, SWAPS + 2):
        for side in (ours, naive):
            side.publish(version, network.read_bytes(), configs[side.model])
            side.swap(side, version) if version == 1 else side.swap_under_load(version)
            side.go_live(version)
            side.prune(version)
    return ours.noticed, naive.noticed


def p99() -> Result:
    """The 99th percentile of what a request took that a swap could have met, in milliseconds."""
    ours, naive = measure()
    note = (
        f"({SWAPS} swaps of {statistics.median(ours.swaps):.1f} s, {len(ours.latencies)} requests, worst "
        f"{ours.worst:.0f} ms; baseline: {statistics.median(naive.swaps):.1f} s, {len(naive.latencies)}, "
        f"{naive.worst:.0f} ms)"
    )
    return Result("swap_p99_ms", ours.p99, "ms", naive.p99, ours.p99 / naive.p99, LIMIT_MS, note)


def failed() -> Result:
    """How many of those requests failed."""
    ours, naive = measure()
    kinds = "; ".join(sorted(set(ours.failures)))[:200]
    return Result("swap_failed_requests", len(ours.failures), "requests", len(naive.failures), None, 0, kinds)

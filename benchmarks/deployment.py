"""How long the deployment pipeline takes on a stack that is up: by itself, and beside seven plain scripts."""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, compare, processor_seconds, seconds

ARGOSY = str(Path(sys.executable).with_name("argosy"))
SCRIPTS = Path(__file__).with_name("naive_deployment")
IN_ORDER = ("fetch_model", "determine_version", "prepare_artifacts", "upload_to_s3", "reload_triton")
SIDE_BY_SIDE = ("update_aliases", "verify_deployment")
MODEL = "resnet18-imagenette-onnx"
REPEATS = 3
NUMBERS = itertools.count(1)
Measure = Callable[[Callable[[], None]], float]


@dataclass(frozen=True)
class Bench:
    """A stack that is up, with a validated model in its registry."""

    environment: dict[str, str]
    endpoints: dict[str, Any]

    def argosy(self, *args: str) -> Any:
        """Run a command; the JSON that it prints."""
        done = subprocess.run(
            [ARGOSY, *args],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return json.loads(done.stdout) if done.stdout.startswith(b"{") else None

    def deploy(self, model: str = MODEL) -> None:
        """The pipeline; each run claims, publishes, serves and verifies a new version."""
        self.argosy("run", "deploy-model-image-classification", "-p", f"model-name={model}")

    def deploy_naively(self, model: str) -> None:
        """The seven scripts, one process each, in the pipeline's order."""
        with tempfile.TemporaryDirectory(prefix="argosy-naive-") as work:
            for name in IN_ORDER:
                _finish(self._start(name, model, work))
            for process in [self._start(name, model, work) for name in SIDE_BY_SIDE]:
                _finish(process)

    def second(self, side: str, deploy: Callable[[str], None], measured: Measure = seconds) -> float:
        """The cost of a model's second deployment: one version is live, and no other is in the repository.

        Triton fetches all versions of a model at each load, so both sides need models of their own.
        """
        model = f"{side}-{next(NUMBERS)}"
        _register_again(self.endpoints["mlflow"], model)
        deploy(model)
        return measured(lambda: deploy(model))

    def with_history(self, versions: int) -> str:
        """A model that was deployed so many times; its name."""
        model = f"history-{next(NUMBERS)}"
        _register_again(self.endpoints["mlflow"], model)
        for _ in range(versions):
            self.deploy(model)
        return model

    def _start(self, name: str, model: str, work: str) -> subprocess.Popen[bytes]:
        s3 = self.endpoints["s3"]
        settings = {
            "MODEL_NAME": model,
            "S3_BUCKET": s3["bucket"],
            "TRITON_URL": self.endpoints["triton"]["http"],
            "MLFLOW_TRACKING_URI": self.endpoints["mlflow"],
            "INPUT_SHAPE": "1,3,32,32",
            "WORK_DIR": work,
            "AWS_ENDPOINT_URL_S3": s3["endpoint"],
            "AWS_ACCESS_KEY_ID": s3["access_key"],
            "AWS_SECRET_ACCESS_KEY": s3["secret_key"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        command = [sys.executable, str(SCRIPTS / f"{name}.py")]
        return subprocess.Popen(command, env={**self.environment, **settings}, stdout=subprocess.DEVNULL)


def _finish(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, process.args)


def _register_again(tracking_uri: str, name: str) -> None:
    """The same file under another name."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri, tracking_uri)
    found = client.get_model_version_by_alias(MODEL, "deploy")
    client.create_registered_model(name)
    source = found.source or ""
    made = client.create_model_version(
        name, source, found.run_id, found.tags, model_id=source.removeprefix("models:/")
    )
    client.set_registered_model_alias(name, "deploy", made.version)


def _register_untrained(tracking_uri: str) -> None:
    """A ResNet18 with random weights: to move, load and verify it costs what a trained one does."""
    import mlflow
    import onnx

    from benchmarks.swapping import resnet18

    mlflow.set_tracking_uri(tracking_uri)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
        network = onnx.load(str(resnet18(Path(folder))))
        info = mlflow.onnx.log_model(network, name="model", pip_requirements=[], save_as_external_data=False)
    client = mlflow.MlflowClient()
    client.create_registered_model(MODEL)
    made = client.create_model_version(MODEL, info.model_uri, run.info.run_id, model_id=info.model_id)
    client.set_registered_model_alias(MODEL, "deploy", made.version)


@contextmanager
def bench(trained: bool = True) -> Iterator[Bench]:
    """A stack that is up, for the length of the block, with a model that was trained, or only looks so."""
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as state:
        # Both sides as on anybody's machine: bytecode is kept, one thread a process shares the cores.
        known = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment = {
            **known,
            "ARGOSY_STATE_DIR": state,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        one = Bench(environment, {})
        try:
            train = ("run", "train-model-image-classification", "-p", "epochs=5", "-p", "min-accuracy=0")
            one.argosy(*(train if trained else ("up",)))
            endpoints = one.argosy("status", "--output", "json")
            if not trained:
                _register_untrained(endpoints["mlflow"])
            yield Bench(environment, endpoints)
        finally:
            one.argosy("down")


def warm() -> Result:
    """Deploy the same ONNX model again and again."""
    with bench() as one:
        times = [seconds(one.deploy) for _ in range(REPEATS)]
    return Result("deployment_warm_s", statistics.median(times), "s", limit=45.0)


def against_naive() -> Result:
    """The whole pipeline against seven scripts that import MLflow, on the same servers, in turn."""
    with bench() as one:
        return compare(
            "deployment_vs_naive",
            lambda: one.second("ours", one.deploy),
            lambda: one.second("naive", one.deploy_naively),
            limit=0.5,
            note="a model's second deployment",
        )


def processor_against_naive() -> Result:
    """The processor time of the same two, without that of the servers: what else runs hardly changes it."""
    with bench(trained=False) as one:
        return compare(
            "deployment_processor_vs_naive",
            lambda: one.second("ours", one.deploy, _processor),
            lambda: one.second("naive", one.deploy_naively, _processor),
            limit=0.3,
            note="processor time",
        )


def _processor(action: Callable[[], None]) -> float:
    before = processor_seconds()
    action()
    return processor_seconds() - before


def after_20() -> Result:
    """A deployment of a model that has been deployed twenty times, against one of a model deployed twice."""
    with bench(trained=False) as one:
        old = one.with_history(20)
        pairs = []
        for _ in range(REPEATS):
            young = one.with_history(2)
            pairs.append((seconds(lambda: one.deploy(old)), seconds(lambda model=young: one.deploy(model))))
    value, baseline = (statistics.median(side) for side in zip(*pairs, strict=True))
    note = "43 MB a version"
    return Result("deployment_after_20_vs_2", value, "s", baseline, value / baseline, 1.1, note)

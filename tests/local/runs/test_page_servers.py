"""What the page shows of a run's servers: a real MLflow, asked and shown in a real browser."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image

from argosy.local.runs.page import told, write_page
from argosy.local.runs.record import Record
from argosy.stack import Stack
from tests.local.runs.browser import CHROMIUM, Browser, browsing
from tests.local.runs.conftest import Made

MODEL = "page of versions"  # a blank, as a name may have one
SPEC = """
arguments:
  parameters: [{{name: mlflow-tracking-uri, value: "{mlflow}"}}]
templates:
- name: main
  dag:
    tasks:
    - {{name: train, template: train}}
    - {{name: upload, template: upload, depends: train}}
    - {{name: aliases, template: aliases, depends: upload}}
- name: train
  outputs: {{parameters: [{{name: run-id, valueFrom: {{path: /tmp/r}}}}]}}
  container: {{image: x, command: [sh, -c, "printf {run_id} > /tmp/r"]}}
- name: upload
  inputs: {{parameters: [{{name: model-name, value: "{model}"}}]}}
  outputs: {{parameters: [{{name: model-uri, valueFrom: {{path: /tmp/u}}}}]}}
  container: {{image: x, command: [sh, -c, "printf s3://bucket/models/m/4/ > /tmp/u"]}}
- name: aliases
  inputs:
    parameters:
    - {{name: model-name, value: "{model}"}}
    - {{name: model-version, value: "{version}"}}
    - {{name: triton-version, value: "4"}}
    - {{name: triton-url, value: "http://127.0.0.1:1"}}
    - {{name: owner, value: me}}
  outputs:
    parameters:
    - {{name: live, valueFrom: {{path: /tmp/l}}}}
    - {{name: previous, valueFrom: {{path: /tmp/p}}}}
  container: {{image: x, command: [sh, -c, "printf {version} > /tmp/l; printf 7 > /tmp/p"]}}
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with browsing(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def known(shared_stack: Stack, tmp_path: Path) -> dict[str, str]:
    """A training in MLflow as `train` leaves one, and a version whose alias moved."""
    address = shared_stack.endpoints().mlflow
    client = MlflowClient(address, address)
    experiment = client.create_experiment(f"page-{tmp_path.name}")
    run_id = client.create_run(experiment).info.run_id
    for epoch, value in enumerate((0.5, 0.25, 0.125), 1):
        client.log_metric(run_id, "val_loss", value, step=epoch)
    client.log_metric(run_id, "best_val_accuracy", 0.75, step=3)
    report = tmp_path / "report"
    report.mkdir()
    for name in ("confusion_matrix", "misclassified"):
        Image.new("RGB", (12, 8), "red").save(report / f"{name}.png")
    (report / "confusion_matrix.csv").write_text("true,cat\ncat,3\n")
    client.log_artifacts(run_id, str(report), "evaluation")
    if not client.search_registered_models(f"name = '{MODEL}'"):
        client.create_registered_model(MODEL)
    version = client.create_model_version(MODEL, f"runs:/{run_id}/model", run_id)
    moves = [
        {"workflow": "other", "took_over_from": "1", "previous_before": ""},
        {"workflow": "me", "took_over_from": "7", "previous_before": "6"},
    ]
    client.set_model_version_tag(MODEL, str(version.version), "triton.moves", json.dumps(moves))
    return {"mlflow": address, "run_id": run_id, "version": str(version.version), "model": MODEL}


def recorded(made: Made, known: dict[str, str]) -> Record:
    record = made(SPEC.format(**known))
    assert record.phase == "Succeeded"
    return record


def test_curves_and_pictures_that_mlflow_holds(made: Made, known: dict[str, str], browser: Browser) -> None:
    record = recorded(made, known)
    browser.open(write_page(record, told(record)).as_uri())
    browser.click('nav [data-view="training"]')
    shown = browser.text("#view-training")
    assert f"train, run {known['run_id']}" in shown and "val_loss 0.125" in " ".join(shown.split())
    assert browser.count("#view-training svg path") == 1
    assert (
        browser.value("document.querySelector('#view-training svg path').getAttribute('d').split('L').length")
        == 3
    )
    pictures = "[...document.querySelectorAll('#view-training img')]"
    browser.until(f"{pictures}.every((one) => one.complete)")
    assert browser.value(f"{pictures}.map((one) => [one.naturalWidth, one.naturalHeight])") == [[12, 8]] * 2
    assert "confusion_matrix.csv" in shown and "cat" in shown and "0.75" in shown
    link = browser.value("document.querySelector('#view-training a').href")
    assert link.startswith(f"{known['mlflow']}/#/experiments/") and link.endswith(known["run_id"])
    assert browser.complaints() == []


def test_aliases_before_and_after_and_where_the_version_is(
    made: Made, known: dict[str, str], browser: Browser
) -> None:
    record = recorded(made, known)
    browser.open(write_page(record, told(record)).as_uri())
    browser.click('nav [data-view="versions"]')
    rows = "[...document.querySelectorAll('#view-versions .aliases tr')]"
    assert browser.value(f"{rows}.map((row) => row.innerText.split('\\t'))") == [
        ["alias", "before", "after"], ["live", "7", known["version"]], ["previous", "6", "7"],
    ]  # fmt: skip
    links = browser.value("[...document.querySelectorAll('#view-versions a')].map((one) => one.href)")
    assert f"{known['mlflow']}/#/models/page%20of%20versions/versions/{known['version']}" in links
    assert "http://127.0.0.1:1/v2/models/page%20of%20versions/versions/4" in links
    assert "s3://bucket/models/m/4/" in browser.text("#view-versions")


def test_an_mlflow_that_does_not_answer_is_said_so(made: Made) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    known = {"mlflow": address, "run_id": "r", "version": "1", "model": "m"}
    found = told(recorded(made, known))
    assert f"MLflow at {address} did not tell" in found["training"][0]["problem"]
    assert found["deployments"][0]["before"] is None
    assert found["deployments"][0]["after"] == {"live": "1", "previous": "7"}


def test_without_an_mlflow_nothing_is_asked(made: Made) -> None:
    known = {"mlflow": "none", "run_id": "r", "version": "1", "model": "m"}
    found = told(recorded(made, known))
    assert found["training"] == []
    assert found["deployments"][0]["links"].keys() == {"S3", "Triton"}

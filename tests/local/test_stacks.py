"""A product's own embedded stack, as Argosy finds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STACK = """
from argosy.local.stacks import StackKind


class Where:
    def to_dict(self):
        return {"queue": "amqp://127.0.0.1"}

    def told(self):
        return {"queue": "amqp://127.0.0.1"}

    def details(self):
        return []

    def pages(self):
        return {"queue's page": "http://127.0.0.1:15672"}


class Queue:
    def up(self, report):
        report("queue is up")
        return Where()

    endpoints = lambda self: Where()
    environment = lambda self: {"QUEUE_USER": "guest"}
    parameters = lambda self: {"queue-url": "amqp://127.0.0.1"}


KIND = StackKind(parameters=("queue-url",), beside=(), data="", open=lambda folder: Queue())
WRONG = Queue
"""
PIPELINE = '''
import os
from argosy import component, pipeline

@component(image="python:3.11-slim")
def show(queue_url: str) -> str:
    """Show."""
    return f"{queue_url} as {os.environ.get('QUEUE_USER')}"

@pipeline
def shown(queue_url: str):
    show(queue_url=queue_url)
'''


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A folder with a pipeline, and with a product that is installed in `site/` and brings a stack."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "queueing.py").write_text(STACK)
    about = site / "queueing-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: queueing\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[argosy.stacks]\nqueues = queueing:KIND\nbroken = queueing:WRONG\n"
    )
    (tmp_path / "shown.py").write_text(PIPELINE)
    return tmp_path


def argosy(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command where the product is installed beside Argosy."""
    return subprocess.run(
        [sys.executable, "-m", "argosy", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "site")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_settings_choose_a_stack_and_a_run_is_pointed_at_it(product: Path) -> None:
    (product / "argosy.yaml").write_text("stack: queues\n")
    done = argosy(product, "run", "shown.py", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert "amqp://127.0.0.1 as guest" in done.stdout
    assert "queue is up" in done.stderr
    assert "on this machine: queue-url = amqp://127.0.0.1" in done.stderr
    assert "http://127.0.0.1:15672" in done.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "several stacks are installed (broken, image-classification, queues); name one as `stack:`"),
        ("stack: queue\n", "no stack 'queue' is installed; did you mean 'queues'?"),
        ("stack: broken\n", "the entry point 'broken' of argosy.stacks (queueing:WRONG) is no StackKind"),
        ("stack: [queues]\n", "the setting 'stack' is not a text"),
    ],
)
def test_what_cannot_be_chosen_is_said(product: Path, settings: str, message: str) -> None:
    (product / "argosy.yaml").write_text(settings)
    for words in (["up"], ["run", "shown.py"]):
        done = argosy(product, *words)
        assert message in done.stderr.replace("\n", " "), done.stderr
        assert done.returncode in (1, 2)

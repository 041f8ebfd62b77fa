"""torch.compile, and its absence."""

import logging
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from argosy.components.training.network.engine import Engine, compiled
from tests.components.training.network.test_engine import _engine, _learnable, same


def _network() -> nn.Module:
    return nn.Linear(12, 3)


def test_not_wanted_it_is_the_model_itself() -> None:
    model = _network()
    assert compiled(model, wanted=False) is model


def test_without_a_compiler_it_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    model = _network()
    with caplog.at_level(logging.INFO):
        assert compiled(model, wanted=True) is model
    assert [record.getMessage() for record in caplog.records] == [
        "compile is left out: there is no C++ compiler (g++, clang++, c++, or what CXX names)"
    ]


def _learn() -> tuple[float, float, int]:
    """The loss of the model itself, that of the compiled one, and how many pieces were compiled."""

    def loss(wanted: bool) -> float:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
        forward = compiled(model, wanted=wanted)
        return Engine(**{**vars(_engine(model)), "forward": forward}).train_epoch(_learnable(3), same)

    plain = loss(wanted=False)
    counters.clear()
    return plain, loss(wanted=True), counters["frames"]["ok"]


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_compiled_it_learns_the_same() -> None:
    # In a process of its own, as a step is: the compiler imports setuptools, which will not be imported
    # where a test before this one imported the standard library's distutils.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        plain, faster, pieces = pool.submit(_learn).result()
    assert faster == pytest.approx(plain, rel=1e-4)
    assert pieces > 0  # it really was compiled

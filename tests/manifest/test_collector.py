"""Pausing the garbage collector: on for those before and after, whatever happens."""

import gc

import pytest

from argosy.compose.compiler import compile
from argosy.declare.pipeline import pipeline
from argosy.errors import ComposeError
from argosy.manifest import emit


def test_a_pause_ends_with_its_block_even_inside_another() -> None:
    with emit.paused():
        with emit.paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_pipeline_that_cannot_be_compiled_leaves_the_collector_on() -> None:
    on = []

    @pipeline
    def empty() -> None:
        on.append(gc.isenabled())

    with pytest.raises(ComposeError):
        compile(empty)
    assert on == [False]
    assert gc.isenabled()

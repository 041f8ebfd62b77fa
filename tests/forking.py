"""Processes forked from a server that has loaded what steps load, so that they start with their work.

There is one such server in a session, so all tests share it, and what it loads. It passes over a module that
it cannot import without a word; `tests/test_forking.py` looks that it did import this one.
"""

from __future__ import annotations

import multiprocessing

PRELOAD = "tests.preload"

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([PRELOAD])

"""The same chain said with KFP and run by its local runner, one process a step; run by a Python with kfp."""

import os
import sys

from kfp import dsl, local


@dsl.component
def increment(value: int) -> int:
    """Add one."""
    return value + 1


@dsl.pipeline(name="chain")
def chain(start: int = 0) -> int:
    """One step after another."""
    value = increment(value=start).output
    for _ in range(int(os.environ["CHAIN_STEPS"]) - 1):
        value = increment(value=value).output
    return value


if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1])
    chain(start=0)

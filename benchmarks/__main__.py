"""`python -m benchmarks [NAME]`: run the benchmarks, print them, write build/bench.json."""

import sys
from collections.abc import Callable
from functools import partial

from benchmarks import (
    against_kfp,
    compiling,
    deployment,
    feeding,
    gates,
    linting,
    step_overhead,
    swapping,
    training,
)
from benchmarks.harness import Result, write

BENCHMARKS: dict[str, Callable[[], Result]] = {
    "import_and_compile_s": compiling.import_and_compile,
    **{f"compile_{n}_vs_hera": partial(compiling.chain, n) for n in compiling.LIMITS},
    **{f"fan_out_{n}_vs_hera": partial(compiling.fan_out, n) for n in compiling.LIMITS},
    **{f"compile_{n}_vs_couler": partial(compiling.against_couler, n) for n in compiling.LIMITS},
    "compile_growth": compiling.growth,
    "cold_compile_vs_kfp": against_kfp.cold_compile,
    "lint_1000_s": linting.lint_1000,
    "deployment_warm_s": deployment.warm,
    "deployment_vs_naive": deployment.against_naive,
    "swap_p99_ms": swapping.p99,
    "swap_failed_requests": swapping.failed,
    "train_to_090_vs_plain": training.train_to_090,
    "train_loop_vs_memory": feeding.train_loop_vs_memory,
    "train_gpu_images_vs_plain": training.gpu_images,
    "gate2_100_s": partial(gates.gate2_100, "gate2_100_s", 224),
    "gate2_100_small_s": partial(gates.gate2_100, "gate2_100_small_s", 32),
    "step_overhead_vs_kfp": step_overhead.step_overhead,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; returns the exit code."""
    unknown = [n for n in names if n not in BENCHMARKS]
    if unknown:
        print(
            f"benchmarks: unknown: {', '.join(unknown)}; there is: {', '.join(BENCHMARKS)}", file=sys.stderr
        )
        return 2
    for name in names or BENCHMARKS:
        result = BENCHMARKS[name]()
        print(result.line(), flush=True)
        write([result])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

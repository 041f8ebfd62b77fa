"""`python -m benchmarks [NAME ...]`: run the benchmarks, print them, write build/bench.json."""

import signal
import sys
from contextlib import suppress
from importlib import import_module

from benchmarks.harness import Result, write

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PATIENCE = 60.0  # seconds that the servers of a stack may take to end
TASKS = (10, 100, 1000, 5000)

# Where each figure is measured: module:function, and the arguments. A module is imported when its figure is
# wanted, so that a machine with PyTorch and little else can measure what needs no more.
BENCHMARKS: dict[str, tuple[str, tuple[object, ...]]] = {
    "import_and_compile_s": ("compiling:import_and_compile", ()),
    **{f"compile_{n}_vs_hera": ("compiling:chain", (n,)) for n in TASKS},
    **{f"fan_out_{n}_vs_hera": ("compiling:fan_out", (n,)) for n in TASKS},
    **{f"compile_{n}_vs_couler": ("compiling:against_couler", (n,)) for n in TASKS},
    "compile_growth": ("compiling:growth", ()),
    "compile_bundle_vs_without": ("compiling:with_bundle", ()),
    "wide_run_1000_s": ("wide_run:wide_run", ()),
    "wide_run_1000_mb": ("wide_run:memory", ()),
    "page_1000_mb": ("wide_run:page_size", ()),
    "page_1000_ms": ("wide_run:page_ready", ()),
    "cold_compile_vs_kfp": ("against_kfp:cold_compile", ()),
    "lint_1000_s": ("linting:lint_1000", ()),
    "build_changed_s": ("building:changed_seconds", ()),
    "build_changed_bytes": ("building:changed_bytes", ()),
    **{f"image_{w}_cold_s": ("own_images:cold", (w,)) for w in ("deployment", "training")},
    **{f"image_{w}_changed_s": ("own_images:changed", (w,)) for w in ("deployment", "training")},
    "deployment_warm_s": ("deployment:warm", ()),
    "deployment_vs_naive": ("deployment:against_naive", ()),
    "deployment_processor_vs_naive": ("deployment:processor_against_naive", ()),
    "deployment_after_20_vs_2": ("deployment:after_20", ()),
    "comparison_200_s": ("comparison:comparison_200", ()),
    "swap_p99_ms": ("swapping:p99", ()),
    "swap_failed_requests": ("swapping:failed", ()),
    "train_to_090_vs_plain": ("training:train_to_090", ()),
    "train_loop_vs_memory": ("feeding:train_loop_vs_memory", ()),
    "train_gpu_images_vs_plain": ("gpu:images", ()),
    "train_gpu_loop_vs_memory": ("gpu:loop_vs_memory", ()),
    "train_gpu_to_090_vs_plain": ("gpu:to_090", ()),
    "gate2_100_s": ("gates:gate2_100", ("gate2_100_s", 224)),
    "gate2_100_small_s": ("gates:gate2_100", ("gate2_100_small_s", 32)),
    "step_overhead_vs_kfp": ("step_overhead:step_overhead", ()),
}


def measure(name: str) -> Result:
    """Measure one figure."""
    where, arguments = BENCHMARKS[name]
    module, function = where.split(":")
    result: Result = getattr(import_module(f"benchmarks.{module}"), function)(*arguments)
    return result


def _stop_at(number: int, _: object) -> None:
    """Ask what runs for us to end, wait for that, and end: so each `with` and `finally` finds it in order.

    A command that starts servers stops them when it is asked, and leaves them when it is killed.
    """
    for one in _SIGNALS:
        signal.signal(one, lambda *_: None)  # a second one must not cut short what the first began
    with suppress(ImportError):  # where it is not installed, nothing runs that starts servers
        import psutil

        children = psutil.Process().children()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.terminate()
        for child in psutil.wait_procs(children, _PATIENCE)[1]:
            with suppress(psutil.NoSuchProcess):
                child.kill()
    sys.exit(128 + number)


def main(names: list[str]) -> int:
    """Measure the named figures, or all; returns the exit code."""
    unknown = [n for n in names if n not in BENCHMARKS]
    if unknown:
        print(
            f"benchmarks: unknown: {', '.join(unknown)}; there is: {', '.join(BENCHMARKS)}", file=sys.stderr
        )
        return 2
    for name in names or BENCHMARKS:
        result = measure(name)
        print(result.line(), flush=True)
        write([result])
    return 0


if __name__ == "__main__":
    for each in _SIGNALS:
        signal.signal(each, _stop_at)
    sys.exit(main(sys.argv[1:]))

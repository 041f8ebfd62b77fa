"""The `onnxruntime` backend of Triton, on ONNX Runtime's Python package.

Triton runs this file as a *Python-based backend*: it is `onnxruntime/model.py` in the backend directory and
serves every model whose configuration says `backend: "onnxruntime"`, so that a model repository made for
Triton's own ONNX Runtime backend works unchanged. A process with numpy 1, and without Argosy, runs it for
each instance of a model.

A load must not slow down the models that serve, on a machine with few cores: ONNX Runtime is imported only
where it is needed, at a low priority, and so is the model opened and run for the first time.
"""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import triton_python_backend_utils as triton

if TYPE_CHECKING:
    import onnxruntime

T = TypeVar("T")

DEFAULT_MODEL_FILE = "model.onnx"
# What Triton's own backend sets for a model that can batch but has no configuration.
DEFAULT_MAX_BATCH_SIZE = 4

# How much lower the priority of a load is, in the system's steps of niceness (up to 19).
NICER = 10

_INTEGERS = {
    f"tensor({sign}int{bits})": f"TYPE_{sign.upper()}INT{bits}"
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(double)": "TYPE_FP64",
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(string)": "TYPE_STRING",
    **_INTEGERS,
}


def refuse(message: str) -> Exception:
    """Return the error that fails a load with this message.

    Looked up late, since Triton puts its classes into the utilities module only after importing this file.
    """
    error: Exception = triton.TritonModelException(message)
    return error


def dimensions(shape: list[int | str | None]) -> list[int]:
    """Return a model's shape as Triton writes it: -1 for every dimension that is not a positive number."""
    return [size if isinstance(size, int) and size > 0 else -1 for size in shape]


def gently(work: Callable[[], T]) -> T:
    """Do work at a low priority, in a thread of its own: no thread may raise its priority again."""

    def run() -> T:
        thread = threading.get_native_id()
        niceness = min(os.getpriority(os.PRIO_PROCESS, thread) + NICER, 19)
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
        return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def open_session(path: Path, parameters: dict[str, Any]) -> onnxruntime.InferenceSession:
    """Load a model on the CPU, with the thread counts of the configuration (0: one thread a core)."""
    threads, others = (_integer(parameters, f"{kind}_op_thread_count") for kind in ("intra", "inter"))
    gently(_import)
    # The threads of a session keep the priority of the one that opened it.
    alone = threads == 1 and others <= 1
    return gently(lambda: _open(path, threads, others)) if alone else _open(path, threads, others)


def _import() -> None:
    import onnxruntime  # noqa: F401 - whoever needs it next finds it at once


def _open(path: Path, threads: int, others: int) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = others
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise refuse(f"onnx runtime error: {error}") from error


def _integer(parameters: dict[str, Any], name: str) -> int:
    text = parameters.get(name, {}).get("string_value", "0")
    try:
        return int(text)
    except ValueError:
        raise refuse(f"parameter '{name}': '{text}' is not a whole number") from None


# ---------------------------------------------------------------------------------------------- configuration


def complete(config: Any, session: onnxruntime.InferenceSession) -> Any:
    """Fill in the inputs, outputs and batching that a configuration leaves out."""
    given = config.as_dict()
    tensors = [*session.get_inputs(), *session.get_outputs()]
    batches = all(dimensions(tensor.shape)[:1] == [-1] for tensor in tensors)
    if given["max_batch_size"] == 0 and batches and not (given["input"] or given["output"]):
        config.set_max_batch_size(DEFAULT_MAX_BATCH_SIZE)
        config.set_dynamic_batching()
    batch_dimensions = 1 if config.as_dict()["max_batch_size"] > 0 else 0
    for key, declared, add in (
        ("input", session.get_inputs(), config.add_input),
        ("output", session.get_outputs(), config.add_output),
    ):
        if not given[key]:
            for tensor in declared:
                add(describe(tensor, batch_dimensions))
    return config


def describe(tensor: Any, batch_dimensions: int) -> dict[str, Any]:
    """Return a tensor's entry in a configuration, whose shape is without the batch dimension."""
    if tensor.type not in TYPES:
        raise refuse(f"'{tensor.name}' is a {tensor.type}, which cannot be served")
    shape = dimensions(tensor.shape)[batch_dimensions:]
    return {"name": tensor.name, "data_type": TYPES[tensor.type], "dims": shape}


def check(kind: str, configured: list[dict[str, Any]], declared: list[Any], batching: bool) -> None:
    """Refuse a configuration that does not fit the model: a name, type or shape that it does not have."""
    there = {tensor.name: tensor for tensor in declared}
    for entry in configured:
        name = entry["name"]
        if name not in there:
            raise refuse(f"unexpected {kind} '{name}'; the model has {', '.join(sorted(there))}")
        shape = [-1] * batching + [int(size) for size in entry["dims"]]
        has, has_type = dimensions(there[name].shape), TYPES.get(there[name].type)
        if has_type != entry["data_type"] or not _fits(shape, has):
            raise refuse(
                f"{kind} '{name}': the model has {has_type} {has}, "
                f"the configuration says {entry['data_type']} {shape}"
                + (" (-1 for the batch)" if batching else "")
            )


def _fits(configured: list[int], declared: list[int]) -> bool:
    """Tell whether every shape that the configuration allows is one that the model takes."""
    if len(configured) != len(declared):
        return False
    return all(has in (-1, says) for says, has in zip(configured, declared, strict=True))


# -------------------------------------------------------------------------------------------------- inference

Feed = dict[str, np.ndarray]


def to_model(array: np.ndarray) -> np.ndarray:
    """Return a request's tensor as ONNX Runtime takes it: text is bytes to Triton."""
    if array.dtype != np.object_:
        return array
    return np.array([item.decode() for item in array.reshape(-1)], dtype=object).reshape(array.shape)


def from_model(array: np.ndarray) -> np.ndarray:
    """Return a result as Triton takes it: text as bytes, any other data contiguous."""
    if array.dtype != np.object_:
        return np.ascontiguousarray(array)
    return np.array([str(item).encode() for item in array.reshape(-1)], dtype=np.object_).reshape(array.shape)


def stackable(feeds: list[Feed]) -> list[list[int]]:
    """Group requests that can be one batch: the same shapes but for the first dimension."""
    groups: defaultdict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
    for index, feed in enumerate(feeds):
        groups[tuple(array.shape[1:] for array in feed.values())].append(index)
    return list(groups.values())


class TritonPythonModel:
    """One instance of one version of a model; Triton makes it and calls it, one call at a time."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """Complete a configuration from the model itself; Triton calls this before a load."""
        given = auto_complete_model_config.as_dict()
        if given["input"] and given["output"]:
            return auto_complete_model_config
        # This call is not told where the model is. The process is: its first argument is the model's file.
        arguments = Path("/proc/self/cmdline").read_bytes().split(b"\0")
        return complete(auto_complete_model_config, open_session(Path(arguments[1].decode()), {}))

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model and hold the configuration against it; an error here fails the load."""
        config = json.loads(args["model_config"])
        file = config.get("default_model_filename") or DEFAULT_MODEL_FILE
        path = Path(args["model_repository"], args["model_version"], file)
        self.session = open_session(path, config.get("parameters", {}))
        self.batching = config["max_batch_size"] > 0
        check("input", config["input"], self.session.get_inputs(), self.batching)
        check("output", config["output"], self.session.get_outputs(), self.batching)
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request, in order; those that fit together run as one batch."""
        feeds = [self._feed(request) for request in requests]
        groups = stackable(feeds) if self.batching else [[index] for index in range(len(feeds))]
        responses: dict[int, Any] = {}
        for group in groups:
            answers = self._answer([feeds[index] for index in group])
            responses.update(zip(group, answers, strict=True))
        return [responses[index] for index in range(len(requests))]

    def _feed(self, request: Any) -> Feed:
        tensors = {name: triton.get_input_tensor_by_name(request, name) for name in self.inputs}
        return {name: to_model(tensor.as_numpy()) for name, tensor in tensors.items() if tensor is not None}

    def _answer(self, feeds: list[Feed]) -> list[Any]:
        """Run requests as one batch; if it fails, one by one, so that only the guilty one gets the error."""
        try:
            return self._run(feeds)
        except Exception as error:
            if len(feeds) > 1:
                return [self._answer([feed])[0] for feed in feeds]
            return [triton.InferenceResponse(error=triton.TritonError(f"onnx runtime error: {error}"))]

    def _run(self, feeds: list[Feed]) -> list[Any]:
        batch = (
            feeds[0]
            if len(feeds) == 1
            else {n: np.concatenate([feed[n] for feed in feeds]) for n in feeds[0]}
        )
        results = self.session.run(self.outputs, batch)
        if len(feeds) == 1:
            return [self._response(results)]
        ends = np.cumsum([next(iter(feed.values())).shape[0] for feed in feeds])[:-1]
        parts = [np.split(result, ends) for result in results]
        return [self._response([part[index] for part in parts]) for index in range(len(feeds))]

    def _response(self, results: list[np.ndarray]) -> Any:
        tensors = [
            triton.Tensor(name, from_model(array)) for name, array in zip(self.outputs, results, strict=True)
        ]
        return triton.InferenceResponse(output_tensors=tensors)

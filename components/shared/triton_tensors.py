"""Tensors as a Triton server takes and gives them: one JSON header, then their bytes.

The binary tensor data extension of the KServe protocol; JSON numbers would take many times as long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from argosy.errors import StepError

HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Tensor:
    """An input or output of a served model; -1 stands for a dimension that the request chooses."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def encode(inputs: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request that sends these tensors, and wants binary ones back."""
    header = {
        "inputs": [
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": np_to_triton_dtype(array.dtype),
                "parameters": {"binary_data_size": array.nbytes},
            }
            for name, array in inputs.items()
        ],
        "parameters": {"binary_data_output": True},
    }
    head = json.dumps(header).encode()
    body = head + b"".join(np.ascontiguousarray(array).tobytes() for array in inputs.values())
    return body, {HEADER_LENGTH: str(len(head))}


def decode(body: bytes, head_length: int) -> dict[str, np.ndarray]:
    """The tensors of an answer, by name.

    Raises:
        StepError: one of them is text.
    """
    outputs: dict[str, np.ndarray] = {}
    at = head_length
    for entry in json.loads(body[:head_length])["outputs"]:
        size, dtype = entry["parameters"]["binary_data_size"], triton_to_np_dtype(entry["datatype"])
        if dtype is None or dtype is np.object_:
            raise StepError(f"output {entry['name']!r} is {entry['datatype']}: only numbers can be checked")
        outputs[entry["name"]] = np.frombuffer(body[at : at + size], dtype).reshape(entry["shape"])
        at += size
    return outputs

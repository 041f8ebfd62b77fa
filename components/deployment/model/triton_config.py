"""config.pbtxt, written from the ONNX model's own signature, and the versions that it names.

One file configures all versions of a model, so it is written once; what an operator tunes in it later stays.
Later only the line that says which versions serve is rewritten: the rest, with its comments, is somebody's
work.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from google.protobuf import json_format, text_format  # type: ignore[import-untyped]
from onnx import TensorProto
from tritonclient.grpc import model_config_pb2 as pb

from argosy.components.deployment.model.onnx_model import Signature, TensorSpec
from argosy.errors import StepError

# A batch larger than this is refused; smaller requests that wait together are joined up to it.
_MAX_BATCH_SIZE = 32
_HEADER = """\
# Written from the model's own signature when its first version was published; later deployments keep this
# file as long as the signature fits, so it may be tuned (instances, threads, batching).
#
# version_policy names the versions that serve, and deployments keep it: a version is named once it has
# answered. So neither a load by hand nor a restart of Triton brings up one that is not proven.
"""
_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.FLOAT16: "TYPE_FP16",
    TensorProto.BFLOAT16: "TYPE_BF16",
    TensorProto.DOUBLE: "TYPE_FP64",
    TensorProto.BOOL: "TYPE_BOOL",
    TensorProto.STRING: "TYPE_STRING",
    TensorProto.INT8: "TYPE_INT8",
    TensorProto.INT16: "TYPE_INT16",
    TensorProto.INT32: "TYPE_INT32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.UINT8: "TYPE_UINT8",
    TensorProto.UINT16: "TYPE_UINT16",
    TensorProto.UINT32: "TYPE_UINT32",
    TensorProto.UINT64: "TYPE_UINT64",
}
_TOKEN = re.compile(
    r"""(?P<skip>\#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<word>\w+)|(?P<open>[{<\[])|(?P<close>[}>\]])"""
)


def model_config(name: str, signature: Signature) -> str:
    """The text of config.pbtxt for a model with that signature.

    Where every input and output has a batch dimension the server batches requests; dims then leave it out.

    Raises:
        StepError: a tensor has a type that Triton does not know.
    """
    batched = signature.batched
    config = pb.ModelConfig(
        name=name,
        backend="onnxruntime",
        max_batch_size=_MAX_BATCH_SIZE if batched else 0,
        input=[pb.ModelInput(**_tensor(spec, batched)) for spec in signature.inputs],
        output=[pb.ModelOutput(**_tensor(spec, batched)) for spec in signature.outputs],
        # None yet: the first deployment that reaches Triton names its version.
        version_policy={"specific": {}},
        # No kind: one instance on each GPU, or one on the CPU where there is none. Without a count
        # a CPU server makes two, which fight for its cores.
        instance_group=[{"count": 1}],
        dynamic_batching={} if batched else None,
        model_warmup=_warmup(signature, batched),
    )
    # One thread an instance keeps latencies steady while other models or versions run beside it.
    config.parameters["intra_op_thread_count"].string_value = "1"
    return _HEADER + str(text_format.MessageToString(config))


def fits(live: str, wanted: str) -> bool:
    """Whether a model's config.pbtxt can serve a version that wants another text: tuning may differ.

    Inputs, outputs and batching must be the same, unless the live text leaves them for Triton to complete.

    Raises:
        StepError: a text is no config.pbtxt.
    """
    config = parse(live)
    left_to_triton = not config.input and not config.output
    return left_to_triton or bool(_signature(config) == _signature(parse(wanted)))


def describe(text: str) -> str:
    """Inputs and outputs of a config.pbtxt in one line, for messages.

    Raises:
        StepError: the text is no config.pbtxt.
    """
    config = parse(text)
    batch = f"batches up to {config.max_batch_size}" if config.max_batch_size else "no batches"
    return f"{_shapes(config.input)} -> {_shapes(config.output)}, {batch}"


def _shapes(tensors: Iterable[Any]) -> str:
    return ", ".join(f"{t.name} {pb.DataType.Name(t.data_type)} {list(t.dims)}" for t in tensors)


def _tensor(spec: TensorSpec, batched: bool) -> dict[str, Any]:
    if spec.dtype not in _TYPES:
        dtype = TensorProto.DataType.Name(spec.dtype)
        raise StepError(f"{spec.name!r} is {dtype}, which Triton does not serve; it serves {_known()}")
    dims = spec.dims[1:] if batched else spec.dims
    tensor: dict[str, Any] = {"name": spec.name, "data_type": _TYPES[spec.dtype], "dims": dims or [1]}
    if not dims:
        # Triton wants at least one dimension: a scalar is a tensor of one element to its clients.
        tensor["reshape"] = {"shape": []}
    return tensor


def _warmup(signature: Signature, batched: bool) -> list[Any]:
    """One request of zeros before a version is ready: the first one takes several times as long as others.

    None where an input has a size that only its users know, or is text.
    """
    inputs = {spec.name: _tensor(spec, batched) for spec in signature.inputs}
    if any(t["data_type"] == "TYPE_STRING" or min(t["dims"]) < 1 for t in inputs.values()):
        return []
    zeros = {
        name: pb.ModelWarmup.Input(data_type=t["data_type"], dims=t["dims"], zero_data=True)
        for name, t in inputs.items()
    }
    return [pb.ModelWarmup(name="zeros", batch_size=1 if batched else 0, inputs=zeros)]


def _known() -> str:
    return ", ".join(TensorProto.DataType.Name(dtype) for dtype in _TYPES)


def parse(text: str) -> Any:
    """The ModelConfig that a config.pbtxt holds.

    Raises:
        StepError: the text is no config.pbtxt.
    """
    try:
        return text_format.Parse(text, pb.ModelConfig())
    except text_format.ParseError as error:
        raise StepError(f"config.pbtxt cannot be read: {error}; correct it or delete it") from error


def _signature(config: Any) -> Any:
    tensors = [
        sorted((t.name, t.data_type, tuple(t.dims), tuple(t.reshape.shape)) for t in kind)
        for kind in (config.input, config.output)
    ]
    return tensors, config.max_batch_size > 0


def named_versions(text: str) -> frozenset[int] | None:
    """The versions that a config.pbtxt names; None where its policy is another one, as "the latest two".

    Raises:
        StepError: the text is no config.pbtxt.
    """
    policy = parse(text).version_policy
    if policy.WhichOneof("policy_choice") != "specific":
        return None
    return frozenset(policy.specific.versions)


def naming(text: str, versions: Collection[int]) -> str:
    """A config.pbtxt that names these versions, and is otherwise the same; unchanged where it names them.

    Raises:
        StepError: the text is no config.pbtxt.
    """
    if named_versions(text) == frozenset(versions):
        return text
    listed = f"versions: {sorted(versions)} " if versions else ""
    line = f"version_policy {{ specific {{ {listed}}} }}"
    edited = _replaced(text, line)
    wanted = _with_policy(text, versions)
    # A text that the simple scan below misreads loses its comments, and nothing else.
    return edited if parse(edited) == wanted else str(text_format.MessageToString(wanted))


def load_config(text: str, versions: Collection[int]) -> dict[str, Any]:
    """The same configuration as a load takes it in place of the file.

    Raises:
        StepError: the text is no config.pbtxt.
    """
    config = _with_policy(text, versions)
    return dict(json_format.MessageToDict(config, preserving_proto_field_name=True))


def _with_policy(text: str, versions: Collection[int]) -> Any:
    config = parse(text)
    config.version_policy.specific.SetInParent()
    config.version_policy.specific.versions[:] = sorted(versions)
    return config


def _replaced(text: str, line: str) -> str:
    """`line` in the place of the outermost version_policy, or at the end."""
    depth, start = 0, None
    for token in _TOKEN.finditer(text):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
            if depth == 0 and start is not None:
                return text[:start] + line + text[token.end() :]
        elif depth == 0 and token["word"]:
            start = token.start() if token["word"] == "version_policy" else None
    return text.rstrip("\n") + "\n" + line + "\n"

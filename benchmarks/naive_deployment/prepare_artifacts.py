"""3. Write config.pbtxt from the model's inputs and outputs, and lay out the version's folder."""

import json
import shutil
from datetime import datetime, timezone

import onnx
from common import MODEL, WORK, read

graph = onnx.load(WORK / "model.onnx").graph


def tensor(value: onnx.ValueInfoProto) -> str:
    """One tensor of config.pbtxt, without its batch dimension."""
    dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
    return f'{{ name: "{value.name}" data_type: TYPE_FP32 dims: {dims} }}'


version = read("triton_version.txt")
folder = WORK / "artifacts" / version
folder.mkdir(parents=True)
shutil.copy(WORK / "model.onnx", folder)
metadata = json.loads(read("metadata.json"))
metadata["triton"] = {"version": version, "deployed_at": datetime.now(timezone.utc).isoformat()}
(folder / "metadata.json").write_text(json.dumps(metadata, indent=2))
inputs, outputs = (", ".join(map(tensor, kind)) for kind in (graph.input, graph.output))
(WORK / "artifacts" / "config.pbtxt").write_text(
    f'name: "{MODEL}"\nbackend: "onnxruntime"\nmax_batch_size: 32\ninput [ {inputs} ]\noutput [ {outputs} ]\n'
    "dynamic_batching { }\nversion_policy { latest { num_versions: 2 } }\n"
)

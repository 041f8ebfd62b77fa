"""How long Gate 2 takes to compare 100 inputs, against one inference at a time."""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Result, compare, seconds

SAMPLES, CLASSES = 100, 10


def gate2_100(name: str, size: int) -> Result:
    """Both sides open ResNet18 twice, stored for PyTorch and as ONNX, and find the largest difference.

    At 224 pixels arithmetic is nearly all of it, the same on both sides; at 32, the size that the embedded
    data set is trained at, batches pay.

    Gate 2 does more in that time: it checks the file and infers its shapes, feeds batches of several sizes,
    and keeps mean, median and agreement. The measuring of the speedup, which the plain loop has no part of,
    is left out on both sides; so are the downloads from MLflow.

    Args:
        name: of the figure.
        size: height and width of the images, in pixels.
    """
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder:
        stored, exported = _models(Path(folder), (3, size, size))
        ours, theirs = (_timed(side, stored, exported) for side in (_gate, _plain_loop))
        return compare(name, ours, theirs, note=f"ResNet18, {size} pixels, against one input at a time")


def _timed(side: Callable[[Path, Path], float], stored: Path, exported: Path) -> Callable[[], float]:
    def run() -> float:
        found: list[float] = []
        taken = seconds(lambda: found.append(side(stored, exported)))
        if not found[0] <= 1e-3:
            raise RuntimeError(
                f"the two models differ by {found[0]}: nothing was compared that could be timed"
            )
        return taken

    return run


def _models(folder: Path, shape: tuple[int, ...]) -> tuple[Path, Path]:
    """The same network with fresh weights, as an exported program and as an ONNX file."""
    import torch

    from argosy.components.training.export import export_onnx
    from argosy.components.training.network.model import import_torchvision

    torch.manual_seed(0)
    network = import_torchvision().models.resnet18(num_classes=CLASSES).eval()
    shapes = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(network, (torch.zeros(2, *shape),), dynamic_shapes=shapes)
    stored, exported = folder / "model.pt2", folder / "model.onnx"
    torch.export.save(program, stored)
    export_onnx(program.module(), shape, exported, {})
    return stored, exported


def _gate(stored: Path, exported: Path) -> float:
    """What `validate-onnx` does with the two files."""
    import torch

    from argosy.components.training import validation
    from argosy.components.training.export import check_onnx

    check_onnx(exported)
    session = validation.open_session(str(exported), torch.get_num_threads())
    baseline = validation.pytorch_predictor(torch.export.load(stored).module())
    batches = validation.random_batches(SAMPLES, validation.sample_shape(session), seed=0)
    return validation.compare(baseline, validation.onnx_predictor(session), batches).max


def _plain_loop(stored: Path, exported: Path) -> float:
    """The loop that a script would have, with models opened once and as many threads."""
    import numpy as np
    import onnxruntime as ort
    import torch

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(str(exported), options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]
    network = torch.export.load(stored).module()
    generator = np.random.default_rng(0)
    largest = 0.0
    for _ in itertools.repeat(None, SAMPLES):
        one = generator.standard_normal((1, *shape), dtype=np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(one)).numpy()
        answer = session.run(None, {"input": one})[0]
        largest = max(largest, float(np.abs(expected - answer).max()))
    return largest

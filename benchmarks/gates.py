"""How long Gate 2 takes to compare 100 inputs, against one inference at a time."""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Result, compare, seconds

SAMPLES, SHAPE, CLASSES = 100, (3, 224, 224), 10


def gate2_100() -> Result:
    """Both sides open ResNet18 twice, stored for PyTorch and as ONNX, and find the largest difference.

    Gate 2 does more in that time: it checks the file and infers its shapes, feeds batches of several sizes,
    and keeps mean, median and agreement. The measuring of the speedup, which the plain loop has no part of,
    is left out on both sides; so are the downloads from MLflow.
    """
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder:
        stored, exported = _models(Path(folder))
        note = f"ResNet18, {'x'.join(map(str, SHAPE))}, against one input at a time"
        return compare(
            "gate2_100_s", _timed(_gate, stored, exported), _timed(_plain_loop, stored, exported), 1.0, note
        )


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


def _models(folder: Path) -> tuple[Path, Path]:
    """The same network with fresh weights, as an exported program and as an ONNX file."""
    import torch

    from argosy.components.training.onnx_export import export_onnx
    from argosy.components.training.recipe.torchvision_compat import import_torchvision

    torch.manual_seed(0)
    network = import_torchvision().models.resnet18(num_classes=CLASSES).eval()
    shapes = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(network, (torch.zeros(2, *SHAPE),), dynamic_shapes=shapes)
    stored, exported = folder / "model.pt2", folder / "model.onnx"
    torch.export.save(program, stored)
    export_onnx(program.module(), SHAPE, exported, {})
    return stored, exported


def _gate(stored: Path, exported: Path) -> float:
    """What `validate-onnx` does with the two files."""
    import torch

    from argosy.components.training import comparison, predictors, samples
    from argosy.components.training.onnx_check import check_onnx

    check_onnx(exported)
    session = predictors.open_session(str(exported), torch.get_num_threads())
    baseline = predictors.pytorch_predictor(torch.export.load(stored).module())
    batches = samples.random_batches(SAMPLES, predictors.sample_shape(session), seed=0)
    return comparison.compare(baseline, predictors.onnx_predictor(session), batches).max


def _plain_loop(stored: Path, exported: Path) -> float:
    """The loop that a script would have, with models opened once and as many threads."""
    import numpy as np
    import onnxruntime as ort
    import torch

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(str(exported), options, providers=["CPUExecutionProvider"])
    network = torch.export.load(stored).module()
    generator = np.random.default_rng(0)
    largest = 0.0
    for _ in itertools.repeat(None, SAMPLES):
        one = generator.standard_normal((1, *SHAPE), dtype=np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(one)).numpy()
        answer = session.run(None, {"input": one})[0]
        largest = max(largest, float(np.abs(expected - answer).max()))
    return largest

"""Where trained weights come from, and which files are refused."""

import hashlib
import pickle
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
from torch import Tensor, nn

from argosy.components.training.network.model import build_model, import_torchvision, start_from
from argosy.errors import ArgosyError, StepError, UsageError
from tests.components.training.conftest import Servers


def _trained(classes: int = 3) -> dict[str, Tensor]:
    """A state dict that no fresh network has."""
    torch.manual_seed(11)
    model = build_model("resnet18", classes)
    with torch.no_grad():
        model(torch.rand(4, 3, 32, 32))  # moves the batch-norm statistics
    return model.state_dict()


@pytest.fixture(scope="module")
def trained() -> dict[str, Tensor]:
    return _trained()


@pytest.fixture(scope="module")
def file(trained: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trained`, as torch.save writes it."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(trained, path)
    return path


def _fresh(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return build_model("resnet18", classes)


def _same(model: nn.Module, weights: dict[str, Tensor], besides: str = "none") -> bool:
    state = model.state_dict()
    return all(torch.equal(state[name], value) for name, value in weights.items() if besides not in name)


def test_a_file_of_the_same_classes_is_taken_whole(trained: dict[str, Tensor], file: Path) -> None:
    model = _fresh()
    start_from(model, str(file), "resnet18")
    assert _same(model, trained)


def test_a_head_of_other_classes_stays_fresh(trained: dict[str, Tensor], file: Path) -> None:
    model = _fresh(classes=5)
    head = model.state_dict()["fc.weight"].clone()
    start_from(model, str(file), "resnet18")
    assert _same(model, trained, besides="fc.")
    assert torch.equal(model.state_dict()["fc.weight"], head)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: {"state_dict": weights, "epoch": 3},
        lambda weights: {"model": {f"module.{name}": value for name, value in weights.items()}},
        lambda weights: {n: v for n, v in weights.items() if not n.endswith("num_batches_tracked")},
        lambda weights: {n: v for n, v in weights.items() if not n.startswith("fc.")},
    ],
    ids=["training script", "parallel", "old", "backbone alone"],
)
def test_files_as_people_keep_them(trained: dict[str, Tensor], tmp_path: Path, wrap: Any) -> None:
    torch.save(wrap(trained), tmp_path / "kept.pth")
    model = _fresh()
    start_from(model, str(tmp_path / "kept.pth"), "resnet18")
    assert _same(model, trained, besides="fc." if "fc.weight" not in wrap(trained) else "tracked")


class _Evil:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    witness, path = tmp_path / "witness", tmp_path / "evil.pth"
    torch.save({"conv1.weight": _Evil(witness)}, path)
    with pytest.raises(UsageError, match="holds no PyTorch state dict that can be read safely"):
        start_from(_fresh(), str(path), "resnet18")
    assert not witness.exists()
    pickle.loads(pickle.dumps(_Evil(witness)))  # the trap itself works
    assert witness.exists()


def _other(change: str) -> Any:
    weights = dict(_trained())
    if change == "deeper":
        return build_model("resnet34", 3).state_dict()
    if change == "bottlenecks":
        return build_model("resnet50", 3).state_dict()
    if change == "headless input":
        weights["conv1.weight"] = weights["conv1.weight"][:, :1]
    if change == "missing":
        del weights["layer2.0.bn1.running_var"]
    if change == "infinite":
        weights["layer1.0.conv1.weight"] = torch.full((64, 64, 3, 3), float("nan"))
    if change == "head":
        weights["fc.weight"] = torch.zeros(3, 100)
    return weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("deeper", "do not fit resnet18: layer1.2.conv1.weight is one too many"),
        ("bottlenecks", "do not fit resnet18: layer1.0.conv1.weight is 64x64x1x1 instead of 64x64x3x3"),
        ("headless input", "do not fit resnet18: conv1.weight is 64x1x7x7 instead of 64x3x7x7"),
        ("missing", "do not fit resnet18: layer2.0.bn1.running_var is missing"),
        ("infinite", "do not fit resnet18: layer1.0.conv1.weight holds values that are not finite"),
        ("head", "do not fit resnet18: fc.weight is 3x100 instead of 3x512"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path, change: str, message: str) -> None:
    torch.save(_other(change), tmp_path / "other.pth")
    model = _fresh()
    with pytest.raises(UsageError, match=message) as caught:
        start_from(model, str(tmp_path / "other.pth"), "resnet18")
    assert "\n" not in str(caught.value)
    assert _same(model, _fresh().state_dict())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no PyTorch state dict"),
        (b"garbage" * 100, "holds no PyTorch state dict"),
        (b"PK\x03\x04" + b"\0" * 200, "holds no PyTorch state dict"),
    ],
)
def test_garbage_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "garbage.pth").write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        start_from(_fresh(), str(tmp_path / "garbage.pth"), "resnet18")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "holds no PyTorch state dict, but Tensor"),
        ({}, "holds no PyTorch state dict, but dict"),
        ({"conv1.weight": 5}, "'conv1.weight' is int and no tensor"),
        ({7: torch.zeros(1)}, "7 is Tensor and no tensor"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(UsageError, match=message):
        start_from(_fresh(), str(tmp_path / "other.pth"), "resnet18")


def test_a_truncated_file_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "half.pth").write_bytes(file.read_bytes()[:20_000_000])
    with pytest.raises(UsageError, match=r"half\.pth': the file holds no PyTorch state dict"):
        start_from(_fresh(), str(tmp_path / "half.pth"), "resnet18")


def test_from_s3_and_again_when_the_object_changed(
    servers: Servers, trained: dict[str, Tensor], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGOSY_CACHE_DIR", str(tmp_path / "cache"))
    source = f"s3://{servers.bucket}/weights/resnet18.pth"
    boto3.client("s3").upload_file(str(file), servers.bucket, "weights/resnet18.pth")
    for _ in range(2):
        model = _fresh()
        start_from(model, source, "resnet18")
        assert _same(model, trained)
    assert len(list((tmp_path / "cache" / "weights").iterdir())) == 1
    changed = {**trained, "conv1.weight": trained["conv1.weight"] + 1}
    torch.save(changed, tmp_path / "changed.pth")
    boto3.client("s3").upload_file(str(tmp_path / "changed.pth"), servers.bucket, "weights/resnet18.pth")
    start_from(model, source, "resnet18")
    assert _same(model, changed)


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("/no/such/file.pth", UsageError, "'/no/such/file.pth' is no file on this machine"),
        ("imagnet", UsageError, "'imagnet' is no file on this machine, and neither none nor imagenet"),
        ("s3://{bucket}", UsageError, "names no object; it must be s3://bucket/key"),
        ("s3://{bucket}/weights/", UsageError, "names no object"),
        ("s3://{bucket}/weights/none.pth", UsageError, "there is no such object in bucket"),
        ("s3://no-such-bucket/resnet18.pth", StepError, "no-such-bucket"),
    ],
)
def test_what_is_not_there(servers: Servers, source: str, kind: type[ArgosyError], message: str) -> None:
    with pytest.raises(kind, match=message):
        start_from(_fresh(), source.format(bucket=servers.bucket), "resnet18")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def published(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """torchvision's weights of resnet18 lie on a server on this machine, named after their checksum."""
    site = tmp_path / "site"
    site.mkdir()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    copy = site / f"resnet18-{digest}.pth"
    copy.write_bytes(file.read_bytes())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    best = import_torchvision().models.get_model_weights("resnet18").DEFAULT.value
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/{copy.name}"
        before = best.url
        object.__setattr__(best, "url", address)
        yield copy
        object.__setattr__(best, "url", before)
        server.shutdown()


def test_torchvisions_weights_are_downloaded_once(published: Path, trained: dict[str, Tensor]) -> None:
    for _ in range(2):
        model = _fresh()
        start_from(model, "imagenet", "resnet18")
        assert _same(model, trained)
        published.unlink(missing_ok=True)  # the second time, the server has nothing to give


def test_a_download_that_is_damaged_or_missing_is_told(published: Path) -> None:
    published.write_bytes(published.read_bytes()[:-1] + b"!")
    with pytest.raises(
        StepError, match=r"could not be downloaded .*put that file on S3 and set weights to s3"
    ):
        start_from(_fresh(), "imagenet", "resnet18")
    published.unlink()
    with pytest.raises(StepError, match=r"could not be downloaded .*404"):
        start_from(_fresh(), "imagenet", "resnet18")


@pytest.mark.parametrize("architecture", ["resnet18", "resnet34", "resnet50"])
def test_every_network_has_weights_to_download(architecture: str) -> None:
    url = import_torchvision().models.get_model_weights(architecture).DEFAULT.url
    assert url.startswith(f"https://download.pytorch.org/models/{architecture}-")

"""Weights in files beside the model: which names may be, and the one file that they go into."""

import os
import tarfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from argosy.components.deployment.model import onnx_model
from argosy.components.deployment.model.layout import identity
from argosy.components.deployment.model.onnx_model import (
    check_location,
    check_model,
    data_files,
    embed,
    embedded_size,
    is_bundle,
    load_graph,
    pack,
    unpack,
)
from argosy.errors import StepError
from tests.components.deployment import models


@pytest.mark.parametrize(
    "name",
    [
        "weights",
        "model.onnx.data",
        "8f3b.data",
        "sub/folder/w.bin",
        "onnx__MatMul_12",
        "onnx::MatMul_12",
        "a b",
    ],
)
def test_names_that_stay_in_the_folder(name: str) -> None:
    assert check_location(name) == name


HOSTILE = [
    "", ".", "..", "../weights", "../../etc/passwd", "/etc/passwd", "sub/../../weights",
    "sub//weights", "./weights", "sub/", "/", "\\\\host\\share", "..\\weights", "C:\\weights",
    "weights\n", "weights\0", "~/weights", "~root", "we\u202eights", "\u00fcn\u00efcode",
    "model.onnx", "metadata.json", "config.pbtxt", "-rf", ".hidden", "a..b", "$(id)", "`id`",
    "{{workflow.name}}", "%2e%2e/weights", "s3://bucket/key", "file:///etc/passwd", "a;b", "a|b",
    "a*b", "a?b", "con\tcat", "x" * 201, "a/" * 9 + "a",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_do_not(name: str, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no plain file name inside of its own folder") as caught:
        check_location(name)
    assert "\n" not in str(caught.value)
    model = onnx.load_from_string(models.conv_net())
    tensor = model.graph.initializer[0]
    set_external_data(tensor, location=name, offset=0, length=len(tensor.raw_data))
    with pytest.raises(StepError):
        data_files(model)


def _everywhere(folder: Path) -> Path:
    """A model with external tensors in the graph, in a node, in a nested graph and in a function."""
    nested = helper.make_graph(
        [helper.make_node("Identity", ["in_branch"], ["chosen"])],
        "then",
        [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, [4])],
        [numpy_helper.from_array(np.arange(4, dtype=np.float32), "in_branch")],
    )
    constant = numpy_helper.from_array(np.full(4, 7, np.float32), "constant")
    in_function = numpy_helper.from_array(np.full(4, 9, np.float32), "f")
    function = helper.make_function(
        "local", "AddNine", ["x"], ["y"],
        [
            helper.make_node("Constant", [], ["nine"], value=in_function),
            helper.make_node("Add", ["x", "nine"], ["y"]),
        ],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["seven"], value=constant),
            helper.make_node("If", ["yes"], ["branch"], then_branch=nested, else_branch=nested),
            helper.make_node("Add", ["input", "seven"], ["a"]),
            helper.make_node("Add", ["a", "branch"], ["b"]),
            helper.make_node("Add", ["b", "top"], ["c"]),
            helper.make_node("AddNine", ["c"], ["output"], domain="local"),
        ],
        "everywhere",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 4])],
        [
            numpy_helper.from_array(np.array(True), "yes"),
            numpy_helper.from_array(np.arange(4, dtype=np.float32) * 100, "top"),
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=9)
    _push_out(model, folder / "weights", ("top", "constant", "in_branch", "f"))
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _push_out(model: onnx.ModelProto, data: Path, names: tuple[str, ...]) -> None:
    from argosy.components.deployment.model.onnx_model import tensors

    with data.open("wb") as file:
        for tensor in tensors(model):
            if tensor.name in names:
                file.write(os.urandom(3))  # offsets that are no multiple of anything
                raw = tensor.raw_data
                set_external_data(tensor, "weights", offset=file.tell(), length=len(raw))
                file.write(raw)
                tensor.ClearField("raw_data")


def _answer(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": np.ones((2, 4), np.float32)})[0])


def test_weights_from_everywhere_go_into_one_file(tmp_path: Path) -> None:
    path, one = _everywhere(tmp_path), tmp_path / "alone" / "model.onnx"
    one.parent.mkdir()
    model = load_graph(path)
    assert data_files(model) == ["weights"]
    size = embedded_size(path, model)
    embed(model, tmp_path, one)
    assert data_files(load_graph(one)) == []
    assert one.stat().st_size <= size
    check_model(one)
    expected = np.arange(4) + np.arange(4) * 100 + 1 + 7 + 9
    np.testing.assert_array_equal(_answer(one), np.tile(expected, (2, 1)))


def test_the_one_file_is_the_model_that_it_was(tmp_path: Path) -> None:
    path, one = models.with_external_data(tmp_path), tmp_path / "one.onnx"
    embed(load_graph(path), tmp_path, one)
    apart, together = onnx.load(str(path)), onnx.load(str(one))
    for model in (apart, together):
        model.graph.initializer.sort(key=lambda tensor: tensor.name)
        for tensor in model.graph.initializer:
            tensor.ClearField("data_location")
    assert apart == together


@pytest.mark.parametrize("change", ["missing", "truncated", "empty", "a link"])
def test_a_data_file_that_is_not_whole(tmp_path: Path, change: str) -> None:
    path = models.with_external_data(tmp_path)
    data = tmp_path / "weights"
    if change == "truncated":
        data.write_bytes(data.read_bytes()[:-1])
    elif change == "empty":
        data.write_bytes(b"")
    else:
        kept = data.rename(tmp_path / "elsewhere")
        if change == "a link":
            data.symlink_to(kept)
    with pytest.raises(StepError, match="weights") as caught:
        embedded_size(path, load_graph(path))
    assert "\n" not in str(caught.value)


def test_a_file_beyond_protobufs_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(onnx_model.MAX_PROTOBUF_BYTES + 1)  # sparse
    with pytest.raises(StepError, match="has 2147483648 bytes, and an ONNX file at most 2147483647"):
        load_graph(path)


def test_the_checksum_of_a_model_of_one_file_is_the_files() -> None:
    assert identity({"model.onnx": "ab"}) == "ab"
    several = {"model.onnx": "ab", "weights": "cd"}
    assert len(identity(several)) == 64
    assert identity(several) == identity(dict(reversed(several.items())))
    changed = [{**several, "weights": "ce"}, {**several, "other": "cd"}, {"model.onnx": "ab", "weight": "cd"}]
    assert len({identity(files) for files in [several, *changed]}) == 4


def _bundle(folder: Path) -> Path:
    folder.mkdir()
    target = folder / "bundle"
    pack(models.with_external_data(folder), ["weights"], target)
    return target


def test_several_files_travel_as_one(tmp_path: Path) -> None:
    bundle, folder, again = _bundle(tmp_path / "a"), tmp_path / "b", models.with_external_data(tmp_path)
    assert is_bundle(bundle)
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["bundle"]
    folder.mkdir()
    model = unpack(bundle, folder)
    assert model.read_bytes() == again.read_bytes()
    assert (folder / "weights").read_bytes() == (tmp_path / "weights").read_bytes()
    check_model(model)


def test_a_model_of_one_file_is_no_bundle(tmp_path: Path) -> None:
    path, folder = tmp_path / "any name", tmp_path / "b"
    path.write_bytes(models.conv_net())
    folder.mkdir()
    assert not is_bundle(path)
    assert unpack(path, folder).read_bytes() == path.read_bytes()


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (_member("../evil"), "no plain file name"),
        (_member("/tmp/evil"), "no plain file name"),
        (_member("evil", tarfile.SYMTYPE, "/etc/passwd"), "which is no plain file"),
        (_member("evil", tarfile.LNKTYPE, "model.onnx"), "which is no plain file"),
        (_member("evil", tarfile.CHRTYPE), "which is no plain file"),
        (_member("evil", tarfile.FIFOTYPE), "which is no plain file"),
        (_member("sub", tarfile.DIRTYPE), "which is no plain file"),
        (_member("evil"), "holds .*evil.*, and the model needs"),
        (_member("model.onnx"), "twice|exists"),
        (_member("metadata.json"), "no plain file name"),
    ],
    ids=lambda value: f"{value.name} {value.type!r}" if isinstance(value, tarfile.TarInfo) else "",
)
def test_a_bundle_with_anything_else_is_refused(tmp_path: Path, extra: tarfile.TarInfo, message: str) -> None:
    bundle, folder = _bundle(tmp_path / "a"), tmp_path / "deep" / "b"
    with tarfile.open(bundle, "a") as tar:
        tar.addfile(extra)
    folder.mkdir(parents=True)
    with pytest.raises(StepError, match=message) as caught:
        unpack(bundle, folder)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "deep" / "evil").exists()
    assert {path.name for path in folder.iterdir()} <= {"model.onnx", "weights", "evil"}
    assert all(path.is_file() and not path.is_symlink() for path in folder.iterdir())


@pytest.mark.parametrize("where", ["in the model", "before the data", "in the data"])
def test_a_truncated_bundle_is_refused(tmp_path: Path, where: str) -> None:
    bundle, folder = _bundle(tmp_path / "a"), tmp_path / "b"
    with tarfile.open(bundle) as tar:
        model, data = tar.getmembers()
    ends = {
        "in the model": model.offset_data + 100,
        "before the data": data.offset,
        "in the data": data.offset_data + data.size - 1,
    }
    os.truncate(bundle, ends[where])
    folder.mkdir()
    with pytest.raises(StepError) as caught:
        unpack(bundle, folder)
    assert "\n" not in str(caught.value)

"""How the code of an image is spread over layers, so that a change sends little."""

import os
from pathlib import Path

import pytest

from argosy.code.images.code import Code, code_of
from argosy.code.images.layers import Layer
from argosy.code.images.recipe import Step, recipes
from argosy.compose.settings import Settings
from argosy.errors import UsageError


def project(folder: Path, small: int, large: int) -> dict[str, Path]:
    """Files of a project: modules of 2 KiB, and data of 100 KiB, none of which can be compressed."""
    files = {f"p/small_{n}.py": os.urandom(2048) for n in range(small)}
    files |= {f"p/large_{n}.bin": os.urandom(100 * 1024) for n in range(large)}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return {path: folder / path for path in files}


def layers(files: dict[str, Path]) -> dict[str, Layer]:
    """The layers of a project's code by their digests."""
    return {layer.blob.digest: layer for layer in Code(files, {}).layers()}


@pytest.mark.parametrize(("small", "large"), [(3, 1), (40, 2), (40, 30), (600, 20)])
def test_a_small_change_sends_one_small_layer(tmp_path: Path, small: int, large: int) -> None:
    files = project(tmp_path, small, large)
    before = layers(files)
    assert len(before) <= 50
    files["p/small_1.py"].write_bytes(os.urandom(2048))
    (changed,) = (layer for digest, layer in layers(files).items() if digest not in before)
    share = max(1, -(-small // 16))
    assert changed.blob.size < 3 * share * 2048 + 1000


def test_a_new_file_moves_no_other_to_another_layer(tmp_path: Path) -> None:
    files = project(tmp_path, 40, 0)
    before = layers(files)
    new = tmp_path / "p" / "new.py"
    new.write_bytes(b"x = 1\n")
    assert len(layers({**files, "p/new.py": new}).keys() - before.keys()) == 1


def test_a_changed_line_of_argosys_own_steps_sends_a_part_of_argosy() -> None:
    own = code_of(["argosy.components.deployment.upload_to_s3"])
    sizes = [layer.blob.size for layer in own.layers()]
    assert own.whole and max(sizes) < sum(sizes) / 8


def test_images_of_one_build_have_names_of_their_own() -> None:
    images = ("python:3.10", "python:3.11", "python:3.12")
    steps = [Step(f"{name}:greet", "greet", image, ()) for name, image in zip("abc", images, strict=True)]
    made = recipes(steps, Settings(), name="hello")
    assert [recipe.name for recipe in made] == ["hello-greet", "hello-greet-2", "hello-greet-3"]
    assert [recipe.modules for recipe in made] == [["a"], ["b"], ["c"]]
    with pytest.raises(UsageError, match="--name names one image, and there are 3"):
        recipes(steps, Settings(), name="hello", alone=True)

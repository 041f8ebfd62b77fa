"""A Dockerfile of the same image, for teams that build in their own way."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from argosy.code.images import BuildError
from argosy.code.images.code import CODE, PACKAGES, PATH, SDK, Code
from argosy.code.images.image import USER
from argosy.code.images.recipe import Recipe

_MARK = "# Written by `argosy build --dockerfile`; it is written anew each time."


def write_dockerfile(
    recipe: Recipe, code: Code, folder: Path, locked: Sequence[str], labels: Mapping[str, str]
) -> Path:
    """Write a Dockerfile, the locked packages and the code into a folder; returns the Dockerfile.

    Raises:
        BuildError: the folder has a Dockerfile of somebody else's, or cannot be written.
    """
    file = folder / "Dockerfile"
    if file.is_file() and not file.read_text(encoding="utf-8", errors="replace").startswith(_MARK):
        raise BuildError(f"'{file}' was not written by argosy, and stays as it is: name another folder")
    try:
        _write_code(code, folder)
        if locked:
            (folder / "requirements.txt").write_text("\n".join(locked) + "\n", encoding="utf-8")
        file.write_text(_text(recipe, bool(locked), labels), encoding="utf-8")
    except OSError as error:
        raise BuildError(f"cannot write into '{folder}': {error.strerror}") from None
    return file


def _write_code(code: Code, folder: Path) -> None:
    for name in ("code", "sdk"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    for path, source in code.project.items():
        _put(folder / "code" / path, source.read_bytes())
    for path, file in code.sdk.items():
        _put(folder / "sdk" / Path(path).relative_to(SDK), file.read())


def _put(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def _text(recipe: Recipe, packages: bool, labels: Mapping[str, str]) -> str:
    lines = [_MARK, f"FROM {recipe.base}"]
    if packages:
        lines += [
            "COPY requirements.txt /opt/argosy/requirements.txt",
            "RUN pip install --no-cache-dir --require-hashes \\",
            f"    --target /{PACKAGES} -r /opt/argosy/requirements.txt",
        ]
    lines += [
        f"COPY sdk /{SDK}",
        f"COPY code /{CODE}",
        f"ENV PYTHONPATH={PATH} PATH=$PATH:/{PACKAGES}/bin HOME=/tmp PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 \\",
        "    PYTHONDONTWRITEBYTECODE=1",
        "ENTRYPOINT []",
        "CMD []",
        "WORKDIR /tmp",
        f"USER {USER}",
        *(f"LABEL {name}={json.dumps(value)}" for name, value in labels.items()),
    ]
    return "\n".join(lines) + "\n"

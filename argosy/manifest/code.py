"""How a template says where its step's code is, and which packages it needs."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from argosy.declare.container import CODE_ANNOTATION
from argosy.declare.template import PACKAGES_ANNOTATION

VOLUME = "argosy-code"
"""The volume of a bundle."""
FILE = "code.zip"
"""The bundle in its ConfigMap."""
STEP = "argosy.step"
OURS = "argosy"
_INSTALLER = f"{STEP}.packages"
_PYTHONS = ("python", "python3")
_WITH_EVERY_PYTHON = ("pip",)


def module_in(command: Sequence[str]) -> str | None:
    """The module that a command runs with `python -m`, or whose step `argosy.step` runs."""
    step = _step_in(command)
    return step.partition(":")[0] if step else None


def _step_in(command: Sequence[str]) -> str | None:
    """The step that a command runs, as `MODULE:FUNCTION`; a module that is run has its step's name."""
    if len(command) < 3 or command[0] not in _PYTHONS or command[1] != "-m":
        return None
    module, words = command[2], command[3:]
    if module == _INSTALLER:  # installs packages, FOLDER and KEY say which, and becomes what follows
        module, words = (words[2], words[3:]) if len(words) > 2 else (module, ())
    if module != STEP:
        return f"{module}:{module.rpartition('.')[2]}"
    return words[0] if words else None


def step_of(template: Mapping[str, Any]) -> str | None:
    """The step that a template's container runs, as `MODULE:FUNCTION`."""
    return _step_in([str(w) for w in (template.get("container") or {}).get("command") or ()])


def module_of(template: Mapping[str, Any]) -> str | None:
    """The module that a template's container runs, as `module_in` finds it."""
    return module_in([str(w) for w in (template.get("container") or {}).get("command") or ()])


def declared_code(template: Mapping[str, Any]) -> str | None:
    """The word of a template's component: "bundle", "image" or nothing."""
    return ((template.get("metadata") or {}).get("annotations") or {}).get(CODE_ANNOTATION)


def is_in_every_image(module: str) -> bool:
    """Whether a module comes with Python itself."""
    return module.partition(".")[0] in (*sys.stdlib_module_names, *_WITH_EVERY_PYTHON)


def in_images(module: str, image: str, images: Sequence[str]) -> bool:
    """Whether an image is known to hold a module: that of Argosy's own components, or one of `images`.

    Args:
        module: by its importable name.
        image: of the step.
        images: beginnings of the names of images that hold the code of their steps.
    """
    return module.partition(".")[0] == OURS or image.startswith(tuple(images) or "\0")


def declared_packages(template: Mapping[str, Any]) -> tuple[str, ...]:
    """The packages that a template's component declares."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    return tuple(str(annotations.get(PACKAGES_ANNOTATION, "")).splitlines())

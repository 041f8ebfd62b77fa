"""The packages that a step declares: locked for its pod, and looked for on this machine."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from argosy.compose.settings import LOCK, Settings
from argosy.errors import UsageError
from argosy.manifest.code import declared_packages
from argosy.step.packages import LISTS

FOLDER, VOLUME = "/argosy/packages", "argosy-packages"
_IMAGE_PYTHON = re.compile(r"(?:^|/)python:(3\.\d+)")
_ARCHITECTURE = "amd64"


def python_of(image: str) -> str | None:
    """The version of an image that has Python and nothing else, as its name tells it: `python:3.11-slim`."""
    found = _IMAGE_PYTHON.search(image)
    return found[1] if found else None


def locked_list(template: Mapping[str, Any], settings: Settings, *, frozen: bool) -> tuple[str, bytes]:
    """The key and the list of a template's packages with their hashes, from `argosy.lock`.

    A package that is not in the lock is resolved now and written there, unless it is frozen.

    Raises:
        UsageError: it is not known which Python the image has.
        BuildError: the packages cannot be resolved, or are not in the frozen lock.
    """
    from argosy.code.images.packages import Lock, Target

    image = str(template["container"].get("image", ""))
    python = settings.build.get("python") or python_of(image)
    if not python:
        raise UsageError(
            f"template '{template['name']}': its packages are locked for the Python of '{image}', which "
            'nobody tells; write build: {python: "3.11"} into argosy.yaml'
        )
    target = Target(str(python), _ARCHITECTURE)
    locked = Lock(settings.folder / LOCK, frozen=frozen).packages(declared_packages(template), target)
    content = "".join(f"{line}\n" for line in locked).encode()
    return hashlib.sha256(content).hexdigest()[:16], content


def name_of(key: str) -> str:
    """A list's name in the bundle."""
    return f"{LISTS}/{key}.txt"


def with_packages(template: dict[str, Any], key: str) -> dict[str, Any]:
    """A template whose container installs its packages into a folder of its own, and then is the step."""
    container = dict(template["container"])
    python, dash_m, *step = container["command"]
    container["command"] = [python, dash_m, "argosy.step.packages", FOLDER, key, *step]
    container["env"] = [
        {**e, "value": f"{e['value']}:{FOLDER}"} if e.get("name") == "PYTHONPATH" else e
        for e in container["env"]
    ]
    container["volumeMounts"] = [*container["volumeMounts"], {"name": VOLUME, "mountPath": FOLDER}]
    volumes = [*template["volumes"], {"name": VOLUME, "emptyDir": {}}]
    return {**template, "volumes": volumes, "container": container}


def check_here(templates: Iterable[Mapping[str, Any]]) -> None:
    """Refuse to run steps whose packages are not installed on this machine.

    Raises:
        UsageError: one is missing, or has another version; the line names all.
    """
    missing = {text: found for t in templates for text in declared_packages(t) if (found := _missing(text))}
    if missing:
        shown = ", ".join(f"{text} ({found})" for text, found in missing.items())
        raise UsageError(f"steps need packages that are not here: {shown}; install them with pip")


def _missing(text: str) -> str:
    from importlib import metadata  # few runs have steps that declare packages

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate():
            return ""
        version = metadata.version(wanted.name)
    except InvalidRequirement as error:
        return f"no package: {str(error).splitlines()[0]}"
    except metadata.PackageNotFoundError:
        return "missing"
    return "" if wanted.specifier.contains(version, prereleases=True) else f"here is {version}"

"""Steps whose outputs an earlier run made: found by all that decides them, and checked before they are used.

The key of a step is made of its template (image, command, resources, environment), the code of its module and
of all that it imports from the project, Argosy's version, the values of its inputs, the content of its input
artifacts, and the values of the workflow's variables that its template reads. A template that reads what no
two runs share, such as the workflow's uid, therefore never has the same key twice.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from argosy import __version__
from argosy.code.project import find
from argosy.declare.container import CACHE_ANNOTATION, WORLD_ANNOTATION
from argosy.errors import UsageError
from argosy.local.artifacts import FETCHERS
from argosy.local.job import Inputs, Produced
from argosy.local.marks import Mark, content_hash, mark, named
from argosy.local.node import Values, folder_name
from argosy.local.runs.rerun import share
from argosy.manifest.code import module_of
from argosy.step.files import write_text

FOLDER = "cache"
_LOCALE = ("TZ", "LANG", "LANGUAGE")
_TAG = re.compile(r"\{\{\s*(=?)\s*([^{}]*?)\s*\}\}")


@dataclass
class StepCache:
    """The cache of a state folder, as one run uses it.

    Attributes:
        state_dir: where the runs and the cache are.
        run: this run's name; its folder is `run_dir`.
        templates: the manifest's, by name.
        module_dirs: where steps find the user's modules.
        everything: all steps may be reused, not only those declared with `cache=True`.
        dry: nothing is carried out and nothing written: a step that is not found ends at once.
        image_id: the id of an image by its name, where steps run in theirs; None of one that is not known.
        environment: variables that every step is given beside those that it declares.
    """

    state_dir: Path
    run: str
    run_dir: Path
    templates: Mapping[str, Mapping[str, Any]]
    module_dirs: tuple[str, ...]
    everything: bool = False
    dry: bool = False
    image_id: Callable[[str], str | None] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    _codes: dict[str, str | None] = field(default_factory=dict)

    def key(self, template: str, inputs: Inputs, variables: Mapping[str, str]) -> str | None:
        """The key of a step; None where it may not be reused, or an input artifact cannot be read."""
        raw = self.templates.get(template, {})
        if not may_be_reused(raw, everything=self.everything):
            return None
        ports = (raw.get("inputs") or {}).get("artifacts") or ()
        fetched = (port for port in ports if any(kind in port for kind in FETCHERS))
        if any(port.get("name") not in inputs.artifacts for port in fetched):
            return None  # from a place that may have changed
        spec = spec_of(raw)
        read = variables_in(spec)
        code = self._code(raw)
        if code is None or read is None or any(name not in variables for name in read):
            return None
        known: dict[str, Any] = {}
        if self.image_id is not None:  # what a process made is not what an image makes
            known["image"] = self.image_id(
                str((raw.get("container") or raw.get("script") or {}).get("image"))
            )
            if known["image"] is None:
                return None
        if self.environment:
            known["environment"] = dict(self.environment)
        try:
            artifacts = {name: content_hash(path) for name, path in inputs.artifacts.items()}
        except OSError:
            return None
        known |= {
            "argosy": __version__,
            "template": spec,
            "code": code,
            "parameters": dict(inputs.parameters),
            "artifacts": artifacts,
            "variables": {name: variables[name] for name in sorted(read)},
        }
        return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def find(
        self, key: str, node: str, max_age: float | None = None, before: float | None = None
    ) -> tuple[str, Values] | None:
        """The run that made the outputs, and these, in this run's folder; None if there is none, whole.

        Nor are they taken that were made longer ago than `max_age` seconds, or by this run itself after
        `before`: items of a loop that are alike each run, however few of them are at work at a time.
        """
        try:
            entry = json.loads(self._file(key).read_text("utf-8"))
            if max_age is not None and time.time() - entry["made"] > max_age:
                return None
            if before is not None and entry["run"] == self.run and entry["made"] > before:
                return None
            run, folder = entry["run"], self.state_dir.resolve() / "runs" / entry["run"]
            for path, digest in entry["artifacts"].values():
                if content_hash(folder / path) != digest:
                    return None  # changed, or pruned in part
            paths = {name: path for name, (path, _) in entry["artifacts"].items()}
            if self.dry:
                found = {name: str(folder / path) for name, path in paths.items()}
                return run, Values(entry["parameters"], found, entry["result"])
            moved, marks = {}, {}
            for name, (path, digest) in entry["artifacts"].items():
                moved[name] = f"artifacts/{folder_name(node)}/{folder_name(name)}/{Path(path).name}"
                share(folder / path, self.run_dir / moved[name])
                marks[name] = mark(self.run_dir / moved[name], None, digest)
            return run, Values(entry["parameters"], moved, entry["result"], marks)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, key: str, produced: Produced, marks: Mapping[str, Mark]) -> None:
        """Remember what a step made. A cache that cannot be written costs time later, and nothing now."""
        try:
            artifacts = {}
            for name, path in produced.artifacts.items():
                known = marks[name].sha256 if name in marks else None  # a composition's are its steps'
                digest = known or content_hash(path)
                artifacts[name] = path.relative_to(self.run_dir.resolve()).as_posix(), digest
            entry = {
                "run": self.run,
                "made": time.time(),
                "parameters": dict(produced.parameters),
                "result": produced.result,
                "artifacts": artifacts,
            }
            self._file(key).parent.mkdir(parents=True, exist_ok=True)
            write_text(self._file(key), json.dumps(entry, ensure_ascii=False))
        except (OSError, ValueError):
            return

    def _file(self, key: str) -> Path:
        return self.state_dir / FOLDER / f"{key}.json"

    def _code(self, raw: Mapping[str, Any]) -> str | None:
        """The hash of a template's code; None where it cannot be told what that is."""
        module = module_of(raw)
        if module is None:
            return ""  # a program of the image, or a script that the template holds
        if module not in self._codes:
            self._codes[module] = code_hash([module], self.module_dirs)
        return self._codes[module]


def may_be_reused(template: Mapping[str, Any], *, everything: bool) -> bool:
    """Whether a template's steps may be reused: never those that are declared to change the world."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if annotations.get(WORLD_ANNOTATION) == "true" or template.get("daemon"):
        return False
    return everything or annotations.get(CACHE_ANNOTATION) == "true"


def spec_of(template: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a template that decides its outputs: not name and notes, nor the cluster's own cache."""
    return {key: value for key, value in template.items() if key not in ("name", "metadata", "memoize")}


def code_hash(modules: Iterable[str], folders: Iterable[str]) -> str | None:
    """A hash of these modules and of all that they import of the project; None if one is nowhere."""
    try:
        found = find(modules, folders)
    except UsageError:
        return None
    if found.missing:
        return None
    digest = sha256()
    for name, path in sorted(found.files.items()):
        content = b"" if name.endswith("/") else path.read_bytes()
        digest.update(named(f"{name}\0{sha256(content).hexdigest()}\n"))
    return digest.hexdigest()


def locale_of(shell: Mapping[str, str]) -> dict[str, str]:
    """The variables that steps have from the shell and that change what they write: time zone, language."""
    return {name: text for name, text in shell.items() if name in _LOCALE or name.startswith("LC_")}


def variables_in(spec: Mapping[str, Any]) -> set[str] | None:
    """The variables of the workflow that a template reads; None if it computes with them."""
    found = set()
    for computed, name in _TAG.findall(json.dumps(spec)):
        if computed:
            return None
        if name.startswith(("workflow.", "pod.", "node.")):
            found.add(name)
    return found

"""What a run was asked for: kept in its folder, so that it can be continued as it was."""

import json
import random
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argosy.cli.compile import compiled
from argosy.errors import UsageError
from argosy.loader import is_manifest, load_manifest, load_pipeline
from argosy.text import did_you_mean

RUNS = "runs"
_FILE = "request.json"


@dataclass(frozen=True)
class Request:
    """A manifest with its final name, the user's parameters, and where steps find the user's modules."""

    manifest: dict[str, Any]
    given: dict[str, str]
    module_dirs: tuple[str, ...]
    run_dir: Path

    @classmethod
    def new(cls, target: str, given: dict[str, str], runs: Path) -> "Request":
        """The request for a built-in pipeline's name, a Python file or a manifest file.

        Raises:
            UsageError: there is no such pipeline or file, or it cannot be compiled or read.
        """
        file = Path(target.partition(":")[0])
        own_dir = (str(file.resolve().parent),) if file.is_file() else ()
        manifest = load_manifest(file) if is_manifest(target) else compiled(load_pipeline(target))
        manifest, folder = _named(manifest)
        return cls(manifest, given, (*own_dir, str(Path.cwd())), runs / folder)

    @classmethod
    def load(cls, run_dir: Path) -> "Request":
        """The request that a run's folder was made for.

        Raises:
            UsageError: there is no such run.
        """
        try:
            content = json.loads((run_dir / _FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            known = sorted(p.parent.name for p in run_dir.parent.glob(f"*/{_FILE}"))
            raise UsageError(f"there is no run '{run_dir.name}'{did_you_mean(run_dir.name, known)}") from None
        return cls(content["manifest"], content["given"], tuple(content["module_dirs"]), run_dir)

    def save(self) -> None:
        """Make the run's folder and keep the request in it."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        content = {"manifest": self.manifest, "given": self.given, "module_dirs": self.module_dirs}
        beside = self.run_dir / f"{_FILE}.part"
        beside.write_text(json.dumps(content), encoding="utf-8")
        beside.replace(self.run_dir / _FILE)


def _named(manifest: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The manifest with a name, as Argo's `generateName` gives it, and a folder's name for the run."""
    metadata = manifest.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    suffix = "".join(random.choices(string.ascii_lowercase + string.digits, k=5))
    fixed = metadata.get("name")
    if fixed and manifest["kind"] == "Workflow":
        return manifest, f"{fixed}-{suffix}"
    base = metadata.pop("generateName", None) or f"{fixed or 'workflow'}-"
    return {**manifest, "metadata": {**metadata, "name": f"{base}{suffix}"}}, f"{base}{suffix}"

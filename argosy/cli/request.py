"""What a run was asked for: kept beside its folder, so that it can be continued as it was.

The run's folder itself belongs to the runner, which takes only an empty one.
"""

import json
import random
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argosy.cli.compile import compiled
from argosy.errors import UsageError
from argosy.given import check_types
from argosy.loader import is_manifest, load_manifest, load_pipeline
from argosy.text import did_you_mean

_RUNS = "runs"
_REQUESTS = "requests"


@dataclass(frozen=True)
class Request:
    """A manifest with its final name, the user's parameters, and where steps find the user's modules."""

    manifest: dict[str, Any]
    given: dict[str, str]
    module_dirs: tuple[str, ...]
    state_dir: Path
    run: str

    @property
    def run_dir(self) -> Path:
        return self.state_dir / _RUNS / self.run

    @classmethod
    def new(cls, target: str, given: dict[str, str], state_dir: Path) -> "Request":
        """The request for a built-in pipeline's name, a Python file or a manifest file.

        Raises:
            UsageError: there is no such pipeline or file, it cannot be compiled or read, or a value is of
                another type than the pipeline declares.
        """
        file = Path(target.partition(":")[0])
        own_dir = (str(file.resolve().parent),) if file.is_file() else ()
        if is_manifest(target):
            manifest = load_manifest(file)
        else:
            pipeline = load_pipeline(target)
            check_types(pipeline.interface, given)
            manifest = compiled(pipeline)
        manifest, run = _named(manifest)
        return cls(manifest, given, (*own_dir, str(Path.cwd())), state_dir, run)

    @classmethod
    def load(cls, state_dir: Path, run: str) -> "Request":
        """The request of an earlier run.

        Raises:
            UsageError: there is no such run.
        """
        files = {p.stem: p for p in (state_dir / _REQUESTS).glob("*.json")}
        if run not in files:
            raise UsageError(f"there is no run '{run}'{did_you_mean(run, sorted(files))}")
        content = json.loads(files[run].read_text(encoding="utf-8"))
        return cls(content["manifest"], content["given"], tuple(content["module_dirs"]), state_dir, run)

    def save(self) -> None:
        """Keep the request."""
        path = self.state_dir / _REQUESTS / f"{self.run}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"manifest": self.manifest, "given": self.given, "module_dirs": self.module_dirs}
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(content), encoding="utf-8")
        beside.replace(path)


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

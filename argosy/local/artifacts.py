"""Files and folders that steps take and leave: fetched from outside, kept in the run's folder, copied on.

A consumer gets a copy, never a link, so that it cannot change what another step reads. Taken away, not
copied, is only what a step made in its own folder and nobody else knows.

Those that lie outside of the workflow come by HTTP, from a git repository, from S3. As in Argo, a compressed
tar or a zip is unpacked unless `archive: {none: {}}` says otherwise; of one that holds a single thing that
thing is the artifact.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from argosy.local.errors import NodeError
from argosy.local.kept import SECRET, Kept, Source
from argosy.local.model import Artifact, Template, Workflow
from argosy.local.scope import Scope
from argosy.step.files import copy_to, write_text

_SECONDS = 60
_PACKAGES = {"http": "requests", "s3": "boto3"}
# Of the network, a program, and an archive that is damaged.
_FAILURES = (OSError, EOFError, subprocess.SubprocessError, zlib.error)


def from_text(data: str, run_dir: Path) -> Path:
    """The file that holds literal content (`raw.data`) in this run."""
    path = run_dir / "artifacts" / ".raw" / sha256(data.encode()).hexdigest()[:24]
    write_text(path, data)
    return path


def put(source: Path, target: Path, artifact: Artifact, own: Path) -> None:
    """Copy an artifact to where a step expects it, in its folder `own`. Raises NodeError naming it."""
    if not target.resolve().is_relative_to(own.resolve()):
        raise NodeError(f"input artifact '{artifact.name}': {artifact.path} is outside of the step's folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
        if artifact.mode is not None:
            target.chmod(artifact.mode)
    except OSError as error:
        raise NodeError(
            f"input artifact '{artifact.name}' cannot be put at {artifact.path}: {error}"
        ) from error


def keep(produced: Path, target: Path, name: str, own: Path) -> Path:
    """Have an output of a step, whose folder is `own`, at `target`; returns where it is now.

    It is moved if it is the step's own; what is outside, or known by another name, too, stays where it is.

    Raises:
        NodeError: it cannot be read, or holds what is neither file nor folder.
    """
    if target.exists():
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if produced.resolve().is_relative_to(own.resolve()) and not any(map(_is_known_elsewhere, _all(produced))):
        with suppress(OSError):  # a mounted folder, say, cannot be moved
            return produced.rename(target)
    try:
        copy_to(produced, target)
    except OSError as error:
        reason = f"{error.strerror or error} ('{error.filename or produced}')"
        raise NodeError(f"output artifact '{name}' cannot be kept: {reason}") from error
    return target


def _all(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):  # a link to a folder is among the folders
            yield from (Path(folder, name) for name in (*folders, *files))


def _is_known_elsewhere(path: Path) -> bool:
    """Whether it is a link, or a file that has another name as well."""
    return path.is_symlink() or (path.is_file() and path.stat().st_nlink > 1)


def fetched(artifact: Artifact, scope: Scope, kept: Kept, folder: Path) -> Path:
    """Fetch an artifact into `folder`, new for it; returns the file or folder. Raises NodeError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    target = folder / "content"
    location = {
        key: scope.render(text) if isinstance(text, str) else text for key, text in artifact.location.items()
    }
    try:
        FETCHERS[artifact.fetched or ""](location, kept, target)
        return _unpacked(target) if artifact.unpacked and artifact.fetched != "git" else target
    except _FAILURES as error:
        raise NodeError(f"input artifact '{artifact.name}' cannot be fetched: {error}") from error


def fetched_inputs(workflow: Workflow) -> Iterator[tuple[str, Template, Artifact]]:
    """The artifacts that no call passes, so that they come from outside: who calls, the template, which."""
    for where, name, given in _calls(workflow):
        template = workflow.templates.get(name)
        for artifact in template.artifacts if template else ():
            if template and artifact.fetched and artifact.name not in given:
                yield where, template, artifact


def _calls(workflow: Workflow) -> Iterator[tuple[str, str, Collection[str]]]:
    """Where a template is called, its name, and the artifacts that are passed."""
    yield "spec.entrypoint", workflow.entrypoint, workflow.artifacts
    if workflow.on_exit:
        passed = {*workflow.on_exit.arguments.artifacts, *workflow.artifacts}
        yield "the exit handler", workflow.on_exit.template, passed
    for template in workflow.templates.values():
        for call in template.calls:
            yield f"template '{template.name}', '{call.name}'", call.template, call.arguments.artifacts


def secrets_of(artifact: Artifact) -> list[Source]:
    """The keys of Secrets that are needed to fetch an artifact."""
    found = (artifact.location.get(field) for field in ("accessKeySecret", "secretKeySecret"))
    return [Source(SECRET, str(one.get("name")), str(one.get("key"))) for one in found if one]


def hindrance(artifact: Artifact) -> str:
    """Why an artifact can never be fetched here, which is known before a run begins; empty if it may be."""
    if artifact.fetched == "s3" and (missing := _missing(artifact.location)):
        return f"comes from S3, and its {missing[0]} is not written: no repository is configured here"
    if artifact.fetched == "git" and shutil.which("git") is None:
        return "comes from git, and the program git is not on PATH"
    package = _PACKAGES.get(artifact.fetched or "")
    if package and find_spec(package) is None:
        return f"needs the package {package}: pip install {package}"
    return ""


def _missing(location: Mapping[str, Any]) -> list[str]:
    return [field for field in ("endpoint", "bucket", "key") if not location.get(field)]


def _by_http(location: Mapping[str, Any], kept: Kept, target: Path) -> None:
    try:
        import requests
    except ImportError:
        raise NodeError("an artifact by http needs the package requests: pip install requests") from None
    headers = {str(header["name"]): str(header.get("value", "")) for header in location.get("headers") or ()}
    with requests.get(str(location["url"]), headers=headers, timeout=_SECONDS, stream=True) as answer:
        if answer.status_code != 200:
            raise OSError(f"{location['url']} answered {answer.status_code}")
        with target.open("wb") as file:
            for chunk in answer.iter_content(1 << 20):
                file.write(chunk)


def _by_git(location: Mapping[str, Any], kept: Kept, target: Path) -> None:
    git, revision = shutil.which("git"), str(location.get("revision") or "")
    if git is None:
        raise NodeError("an artifact from git needs the program git, which is not on PATH")
    if revision.startswith("-"):
        raise NodeError(f"{revision!r} is no revision")
    words = [git, "clone", "--quiet"]
    words += [] if location.get("disableSubmodules") else ["--recurse-submodules"]
    words += [f"--branch={location['branch']}"] if location.get("branch") else []
    words += [f"--depth={location['depth']}"] if location.get("depth") and not revision else []
    _git([*words, "--", str(location["repo"]), str(target)])
    if revision:
        _git([git, "-C", str(target), "checkout", "--quiet", revision, "--"])


def _git(words: list[str]) -> None:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"git {words[1]}: {done.stderr.strip()}")


def _from_s3(location: Mapping[str, Any], kept: Kept, target: Path) -> None:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise NodeError("an artifact from S3 needs the package boto3: pip install boto3") from None
    if missing := _missing(location):
        raise NodeError(f"an artifact from S3 needs its {missing[0]}: no repository is configured here")
    scheme = "http" if location.get("insecure") else "https"
    client = boto3.client(
        "s3",
        endpoint_url=f"{scheme}://{location['endpoint']}",
        region_name=location.get("region") or "us-east-1",
        aws_access_key_id=_secret(location.get("accessKeySecret"), kept),
        aws_secret_access_key=_secret(location.get("secretKeySecret"), kept),
    )
    bucket, key = str(location["bucket"]), str(location["key"])
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        names = [item["Key"] for page in pages for item in page.get("Contents", ())]
        inside = {
            name: name[len(key) :].strip("/") for name in names if name.startswith(f"{key.rstrip('/')}/")
        }
        if key not in names and not inside:
            raise OSError(f"there is no '{key}' in the bucket '{bucket}'")
        for name, relative in {key: ""}.items() if key in names else inside.items():
            place = target / relative
            if not place.resolve().is_relative_to(target.resolve()):
                raise OSError(f"'{name}' leads out of the artifact")
            place.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, name, str(place))
    except (BotoCoreError, ClientError) as error:
        raise OSError(str(error)) from error


def _secret(reference: Any, kept: Kept) -> str | None:
    if not reference:
        return None  # those of this machine
    source = Source.of(SECRET, reference)
    value = kept.value(source)
    if value is None:
        raise NodeError(f"an artifact needs the {source}: give its file with -f")
    return value


def _unpacked(path: Path) -> Path:
    """The content of an archive; what is none, as it is. Raises OSError for one that is damaged."""
    import tarfile  # few runs fetch anything
    import zipfile

    inside = path.with_name("unpacked")
    if path.is_dir():
        return path
    try:
        with tarfile.open(path, "r:gz") as archive:
            archive.extractall(inside, filter="data")
    except tarfile.ReadError as error:
        if not zipfile.is_zipfile(path):
            return path
        try:
            with zipfile.ZipFile(path) as packed:
                packed.extractall(inside)
        except zipfile.BadZipFile as damage:
            raise OSError(str(damage)) from error
    except tarfile.TarError as error:  # such as one that leads out of its folder
        raise OSError(str(error)) from error
    found = list(inside.iterdir()) if inside.exists() else []
    return found[0] if len(found) == 1 else inside


FETCHERS = {"http": _by_http, "git": _by_git, "s3": _from_s3}
"""How each kind of place is read."""

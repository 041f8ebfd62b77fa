"""Input artifacts from outside of the workflow: by HTTP, from git, from S3."""

from __future__ import annotations

import functools
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from argosy.components.shared import s3
from argosy.errors import ManifestError
from argosy.local.kept import SECRET, Kept, Source
from tests.components.shared.conftest import s3_server as s3_server
from tests.local.conftest import Run, log, node


def spec(location: str, path: str = "/in/f", command: str = "cat /in/f") -> str:
    return f"""
templates:
- name: main
  inputs: {{artifacts: [{{name: f, path: {path}, {location}}}]}}
  container: {{image: x, command: [sh, -c, '{command}']}}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a server of two files, one of them packed."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "f").write_text("by http\n")
    with tarfile.open(folder / "f.tgz", "w:gz") as archive:
        archive.add(folder / "f", "inner")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize(("name", "command"), [("f", "cat /in/f"), ("f.tgz", "cat /in/f")])
def test_by_http(run: Run, served: str, name: str, command: str) -> None:
    assert log(run(spec(f'http: {{url: "{served}/{name}"}}', command=command)), "main") == "by http\n"


def test_an_archive_stays_packed_where_the_manifest_says_so(run: Run, served: str) -> None:
    location = f'archive: {{none: {{}}}}, http: {{url: "{served}/f.tgz"}}'
    assert log(run(spec(location, command="tar -xzOf /in/f inner")), "main") == "by http\n"


@pytest.mark.parametrize("name", ["cut.tgz", "escape.tgz"])
def test_an_archive_that_is_damaged_or_leads_out_is_an_error(
    run: Run, served: str, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "served"
    (folder / "big").write_bytes(os.urandom(100_000))
    with tarfile.open(folder / "whole.tgz", "w:gz") as archive:
        archive.add(folder / "big", "big")
    (folder / "cut.tgz").write_bytes((folder / "whole.tgz").read_bytes()[:50_000])
    with tarfile.open(folder / "escape.tgz", "w:gz") as archive:
        archive.add(folder / "f", "../f")
    found = node(run(spec(f'http: {{url: "{served}/{name}"}}')), "main")
    assert (found.phase.value, "artifact 'f' cannot be fetched" in found.message) == ("Error", True)


def test_what_is_not_there_is_an_error(run: Run, served: str) -> None:
    found = node(run(spec(f'http: {{url: "{served}/none"}}')), "main")
    assert (found.phase.value, "artifact 'f' cannot be fetched" in found.message) == ("Error", True)


def test_from_git(run: Run, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    git = functools.partial(subprocess.run, cwd=repository, check=True, capture_output=True)
    repository.mkdir()
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    git(["git", "init", "--quiet"])
    for text in ("first", "second"):
        (repository / "f").write_text(f"{text}\n")
        git(["git", "add", "f"])
        git(["git", *who, "commit", "--quiet", "-m", text])
    located = f'git: {{repo: "{repository}", revision: "HEAD~1"}}'
    assert log(run(spec(located, "/src", "cat /src/f")), "main") == "first\n"
    assert (
        log(run(spec(f'git: {{repo: "{repository}"}}', "/src", "cat /src/f"), folder="b"), "main")
        == "second\n"
    )
    option = node(run(spec(f'git: {{repo: "{repository}", revision: "--x"}}', "/src"), folder="c"), "main")
    assert "is no revision" in option.message


KEYED = "s3: {endpoint: e, bucket: b, key: k, accessKeySecret: {name: s, key: a}}"


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("s3: {bucket: b, key: k}", "'f' of template 'main' comes from S3, and its endpoint is not written"),
        ('s3: {endpoint: "", bucket: b, key: k}', "its endpoint is not written"),
        (KEYED, "spec.entrypoint: artifact 'f' needs the key 'a' of the secret 's'"),
    ],
)
def test_what_can_never_be_fetched_is_refused_before_anything_starts(
    run: Run, tmp_path: Path, location: str, problem: str
) -> None:
    with pytest.raises(ManifestError) as refused:
        run(spec(location))
    assert problem in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_an_artifact_that_is_passed_needs_no_place(run: Run) -> None:
    passed = spec("s3: {bucket: b, key: k}").replace("name: main", "name: read")
    passed += """
- name: main
  dag: {tasks: [{name: a, template: read, arguments: {artifacts: [{name: f, raw: {data: "raw"}}]}}]}
"""
    assert log(run(passed), "a") == "raw"


def test_from_s3(run: Run, s3_server: str, tmp_path: Path) -> None:
    bucket = s3.connect(s3_server)
    (tmp_path / "f").write_text("from s3\n")
    for key in ("fetch/one", "fetch/tree/a", "fetch/tree/b/c"):
        bucket.client.upload_file(str(tmp_path / "f"), s3_server, key)
    keys = "accessKeySecret: {name: s, key: a}, secretKeySecret: {name: s, key: b}"
    kept = Kept(
        {
            Source(SECRET, "s", "a"): os.environ["AWS_ACCESS_KEY_ID"],
            Source(SECRET, "s", "b"): os.environ["AWS_SECRET_ACCESS_KEY"],
        }
    )
    endpoint = os.environ["AWS_ENDPOINT_URL_S3"].removeprefix("http://")
    place = f'endpoint: "{endpoint}", insecure: true, bucket: {s3_server}, {keys}'
    assert log(run(spec(f"s3: {{{place}, key: fetch/one}}"), kept=kept), "main") == "from s3\n"
    tree = run(
        spec(f"s3: {{{place}, key: fetch/tree}}", command="cat /in/f/a /in/f/b/c"), kept=kept, folder="b"
    )
    assert log(tree, "main") == "from s3\n" * 2
    none = node(run(spec(f"s3: {{{place}, key: none}}"), kept=kept, folder="c"), "main")
    assert "there is no 'none' in the bucket" in none.message

"""Packages of an image: for its platform, from wheels, locked; and what needs no registry at all."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from argosy import component
from argosy.code.bundle.archive import pack
from argosy.code.images import BuildError
from argosy.code.images.code import Code
from argosy.code.images.layers import File, make_layer
from argosy.code.images.reference import Reference
from argosy.code.images.registry import Registry, credential_for
from argosy.errors import DeclarationError, UsageError
from tests.code.images.conftest import WORDS, Project, Server, needs_registry, put_base
from tests.code.images.test_push import image_of, layers_of
from tests.code.images.wheels import make_wheel

HUB = "docker.io"


@needs_registry
def test_each_platform_gets_its_own_wheels(project: Project, index: Path, server: Server) -> None:
    base = put_base(server.host, "base/native:1", "amd64", "arm64")
    words = ("--base", base, "--platform", "linux/amd64", "--platform", "linux/arm64")
    project.built("--push", f"{server.host}/packages/", *words)
    image, registry = Reference.parse(image_of(project)), Registry(server.host)
    for entry in json.loads(registry.manifest(image)[0])["manifests"]:
        architecture = entry["platform"]["architecture"]
        layer = layers_of(str(image.at(entry["digest"])))[1]
        machine = {"amd64": b"x86_64", "arm64": b"aarch64"}[architecture]
        files = unpacked(registry.blob(image, layer))
        assert files["opt/argosy/packages/native.py"] == b"MACHINE = '" + machine + b"'\n"
        assert files["opt/argosy/packages/bin/pure"].startswith(b"#!/usr/bin/env python3\n")


def unpacked(layer: bytes) -> dict[str, bytes]:
    """The files of a layer."""
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        files = ((m, archive.extractfile(m)) for m in archive.getmembers())
        return {m.name: f.read() for m, f in files if f}


@needs_registry
def test_the_lock_holds_until_it_is_upgraded(project: Project, index: Path, server: Server) -> None:
    push = ("--push", f"{server.host}/locked/")
    assert (
        "argosy.lock lacks native==2.0, pure for linux/amd64 with Python 3"
        in project.argosy("build", "hello.py", *push, "--locked").stderr
    )
    project.built(*push)
    lock = project.folder / "argosy.lock"
    assert [line.partition(" ")[0] for line in yaml.safe_load(lock.read_text())[0]["resolved"]] == [
        "native==2.0",
        "pure==1.0",
    ]
    assert "--hash=sha256:" in lock.read_text()
    written = lock.read_bytes()
    make_wheel(index, "pure", "1.1", "py3-none-any", "def main(): print('newer')\n")
    project.built(*push, "--locked")
    assert lock.read_bytes() == written
    project.built(*push, "--upgrade")
    assert "pure==1.1" in lock.read_text() and "pure==1.0" not in lock.read_text()
    lock.write_text("nonsense")
    assert "is not what argosy wrote" in project.argosy("build", "hello.py", *push).stderr


@needs_registry
@pytest.mark.parametrize("what", ["hash", "version"])
def test_a_lock_that_the_index_does_not_bear_out_is_named(
    project: Project, index: Path, server: Server, what: str
) -> None:
    push = ("--push", f"{server.host}/other/")
    project.built(*push)
    lock = project.folder / "argosy.lock"
    text = lock.read_text()
    name, digest = re.search(r"(pure==\S+) --hash=sha256:(\w+)", text).groups()  # type: ignore[union-attr]
    lock.write_text(text.replace(*((digest, "0" * 64) if what == "hash" else (name, "pure==7.7"))))
    project.environment["XDG_CACHE_HOME"] = str(project.folder / "another-cache")
    done = project.argosy("build", "hello.py", *push)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("argosy: argosy.lock names what the index does not have: ")
    assert done.stderr.endswith("; restore argosy.lock, or resolve its packages anew with --upgrade\n")
    project.built(*push, "--upgrade")
    assert lock.read_text() == text


@needs_registry
def test_a_layer_of_packages_is_made_once(project: Project, index: Path, server: Server) -> None:
    project.built("--push", f"{server.host}/cached/")
    before = layers_of(image_of(project))
    for wheel in index.iterdir():
        wheel.unlink()  # another installation could not succeed
    project.built("--push", f"{server.host}/cached-again/")
    assert layers_of(image_of(project)) == before


@needs_registry
def test_what_a_killed_build_left_is_removed_and_what_goes_on_is_not(
    project: Project, index: Path, server: Server
) -> None:
    cache = Path(project.environment["XDG_CACHE_HOME"]) / "argosy" / "layers"
    left, at_work = cache / "making-left", cache / "making-now"
    for folder in (left, at_work):
        (folder / "packages").mkdir(parents=True)
    os.utime(left, (0, 0))
    project.built("--push", f"{server.host}/left/")
    assert not left.exists() and at_work.exists()


@needs_registry
def test_the_image_of_a_step_with_other_packages_is_another(
    project: Project, index: Path, server: Server
) -> None:
    program = project.folder / "hello.py"
    program.write_text(
        program.read_text().replace('packages=["pure", "native==2.0"]', 'packages=["pure"]', 1)
    )
    said = project.built("--push", f"{server.host}/apart/")
    assert f"{server.host}/apart/hello-greet@" in said and f"{server.host}/apart/hello-shout@" in said
    program.write_text(program.read_text().replace('packages=["pure"]', 'packages=["pure", "more"]'))
    done = project.argosy("compile", "hello.py")
    assert "argosy.images.yaml: the packages of step 'greet' changed" in done.stderr


@needs_registry
@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("absent==1", "the packages cannot be resolved for linux/amd64 with Python"),
        ("sourced", "'sourced' has no wheel for linux/amd64 with Python"),
        ("--index-url=x", "more.txt:1: '--index-url=x' is an option; only packages can be in it"),
        ("# one\npure \\\n ==1.0\na b c", "more.txt:4: 'a b c' is not a package such as 'pandas==2.2.3'"),
        ("\udcff", "'more.txt' is no text in UTF-8"),
    ],
)
def test_a_package_that_is_not_to_be_had_is_one_line(
    project: Project, index: Path, server: Server, package: str, message: str
) -> None:
    (index / "sourced-1.0.tar.gz").write_bytes(b"no wheel")
    (project.folder / "more.txt").write_text(f"{package}\n", errors="surrogateescape")
    done = project.argosy("build", "hello.py", "--push", f"{server.host}/x/", "-r", "more.txt")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (project.folder / "argosy.images.yaml").exists()


@needs_registry
def test_a_base_that_does_not_say_its_python_or_has_musl_is_one_line(
    project: Project, index: Path, server: Server
) -> None:
    alpine = put_base(server.host, "base/python:3-alpine")
    done = project.argosy("build", "hello.py", "--push", f"{server.host}/x/", "--base", alpine)
    assert "their wheels want glibc" in done.stderr


def test_a_dockerfile_holds_the_lock_and_the_code_and_spares_foreign_files(
    project: Project, index: Path
) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words = ("build", "hello.py", "--python", python, "--dockerfile")
    done = project.argosy(*words, "out")
    assert done.returncode == 0, done.stderr
    out = project.folder / "out"
    text = (out / "Dockerfile").read_text()
    assert f"FROM {project.base}\n" in text and "--require-hashes" in text and "USER 10001:10001" in text
    assert (out / "requirements.txt").read_text().startswith("native==2.0 --hash=sha256:")
    assert (out / "code" / "words.py").is_file() and (
        out / "sdk" / "argosy" / "declare" / "component.py"
    ).is_file()
    assert project.argosy(*words, "out").returncode == 0
    (project.folder / "own").mkdir()
    (project.folder / "own" / "Dockerfile").write_text("FROM scratch\n")
    assert "was not written by argosy, and stays as it is" in project.argosy(*words, "own").stderr
    assert (project.folder / "own" / "Dockerfile").read_text() == "FROM scratch\n"


@pytest.mark.parametrize("name", ["code/a.py", "sdk/a.py", "requirements.txt", "code"])
def test_a_dockerfile_takes_no_folder_in_which_others_have_files(
    project: Project, index: Path, name: str
) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words = ("build", "hello.py", "--python", python, "--dockerfile", "own")
    file = project.folder / "own" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine\n")
    done = project.argosy(*words)
    told = (
        f"argosy: 'own/{name.partition('/')[0]}' was not written by argosy, and stays as it is: name another"
    )
    assert done.returncode == 2 and done.stderr.startswith(told), done.stderr
    assert file.read_text() == "mine\n"
    assert [path for path in (project.folder / "own").rglob("*") if path.is_file()] == [file]


def test_a_dockerfile_without_packages_makes_no_file_of_them_its_own(project: Project, index: Path) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words = ("build", "hello.py", "--python", python, "--dockerfile", "own")
    program = project.folder / "hello.py"
    packaged = program.read_text()
    program.write_text(re.sub(r",? ?packages=\[[^\]]*\]", "", packaged))
    assert project.argosy(*words).returncode == 0
    (project.folder / "own" / "requirements.txt").write_text("mine\n")
    assert project.argosy(*words).returncode == 0
    program.write_text(packaged)
    assert "'own/requirements.txt' was not written by argosy" in project.argosy(*words).stderr
    assert (project.folder / "own" / "requirements.txt").read_text() == "mine\n"


def test_code_is_what_the_steps_import_and_nothing_hidden(project: Project) -> None:
    package = project.folder / "tools"
    kept = ("__init__.py", "deep/__init__.py", "deep/table.csv", "deep/unused.py", "deep/fast.so")
    for name in (*kept, ".env", "prod.env", "__pycache__/x.pyc", "venv/pyvenv.cfg", "venv/lib.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("")
    (project.folder / ".env").write_text("SECRET=1")
    (project.folder / "unused.py").write_text("")
    (project.folder / "words.py").write_text("import tools.deep\nimport json\n")
    (project.folder / "secret").write_text("SECRET=1")
    (package / "linked").symlink_to(project.folder / "secret")
    (package / "folder").symlink_to(project.folder)
    done = project.argosy("build", "hello.py", "--dockerfile", "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        f"warning: {package}/folder: a link to a folder does not travel\n"
        f"warning: {package}/linked: a link out of its package does not travel\n"
    )
    code = project.folder / "out" / "code"
    files = sorted(p.relative_to(code).as_posix() for p in code.rglob("*") if p.is_file())
    assert files == [
        "hello.py",
        *sorted(f"tools/{name}" for name in kept),
        "words.py",
    ]


def test_names_that_no_archive_takes_stay_here_and_are_told(project: Project) -> None:
    package = project.folder / "words"
    package.mkdir()
    (project.folder / "words.py").rename(package / "__init__.py")
    (package / "two\nlines 'of' $(id) \"täxt\".txt").write_text("x")
    (package / "nowhere").symlink_to("gone")
    os.mkfifo(package / "pipe")
    for name in (b"bad\xff.txt", b"bad\xfe"):
        path = package / os.fsdecode(name)
        path.mkdir() if name.endswith(b"\xfe") else path.write_text("x")
    (package / "conda" / "conda-meta").mkdir(parents=True)
    (package / "conda" / "lib.py").write_text("")
    told = [
        f"{package}/bad\\udcfe: a name that is not UTF-8",
        f"{package}/bad\\udcff.txt: a name that is not UTF-8",
        f"{package}/nowhere: a link to no file",
        f"{package}/pipe: what is no plain file",
    ]
    done = project.argosy("build", "hello.py", "-o", "x.tar", "--dockerfile", "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "".join(f"warning: {line} does not travel\n" for line in told)
    files = {p.name for p in (project.folder / "out" / "code" / "words").iterdir()}
    assert files == {"__init__.py", "two\nlines 'of' $(id) \"täxt\".txt"}
    done = project.argosy("compile", "hello.py", "-o", "compiled")
    assert done.returncode == 0, done.stderr
    assert all(f"warning: {line} does not travel\n" in done.stderr for line in told)


def test_a_file_that_is_gone_or_not_readable_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone.csv"
    with pytest.raises(BuildError, match=r"^cannot read '.*gone\.csv': No such file"):
        Code({"gone.csv": gone}, {}).layers()
    with pytest.raises(UsageError, match=r"^hello: cannot read '.*gone\.csv': No such file"):
        pack({"gone.csv": gone}, {}, "hello")


def test_much_data_is_one_line_that_names_it(project: Project) -> None:
    (project.folder / "data").mkdir()
    (project.folder / "data" / "__init__.py").touch()
    (project.folder / "words.py").write_text("import data\n" + WORDS)
    os.truncate(os.open(project.folder / "data" / "huge\n.bin", os.O_CREAT | os.O_WRONLY), 5 * 2**30)
    for words in (("build", "hello.py", "-o", "x.tar"), ("compile", "hello.py")):
        done = project.argosy(*words)
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1
        assert "data/huge\\n.bin" in done.stderr


def test_a_step_runs_in_its_image_though_its_module_imports_what_only_composes(project: Project) -> None:
    top = "from argosy.cluster import ArgosySubmitter\nfrom argosy.components.training import promote\n"
    file = project.folder / "hello.py"
    file.write_text(top + file.read_text())
    done = project.argosy("build", "hello.py", "--dockerfile", "out")
    assert done.returncode == 0, done.stderr
    path = ":".join(str(project.folder / "out" / name) for name in ("code", "sdk"))
    python = [getattr(sys, "_base_executable", sys.executable), "-S"]
    step = ["-m", "argosy.step", "hello:greet", "--who=Ada"]
    done = subprocess.run(
        [*python, *step], env={"PYTHONPATH": path}, cwd="/", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "text = 'Hello, Ada!'\n"), done.stderr


def test_folders_without_init_and_modules_imported_by_name_are_in_the_image(project: Project) -> None:
    for name in ("team/flow/steps.py", "team/flow/extra.py", "team/lib/words.py", "team/lib/by_name.py"):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text("")
    (project.folder / "argosy.yaml").write_text("{}")
    text = (project.folder / "hello.py").read_text().replace("import words", "from team.lib import words")
    (project.folder / "team/flow/steps.py").write_text(text)
    done = project.argosy("build", "team/flow/steps.py", "--dockerfile", "out")
    assert done.returncode == 0, done.stderr
    code = project.folder / "out" / "code"
    assert sorted(p.relative_to(code).as_posix() for p in code.rglob("*.py")) == [
        "team/flow/extra.py",
        "team/flow/steps.py",
        "team/lib/by_name.py",
        "team/lib/words.py",
    ]


def test_a_module_compiled_for_another_machine_is_refused(project: Project, server: Server) -> None:
    package = project.folder / "words"
    package.mkdir()
    (project.folder / "words.py").rename(package / "__init__.py")
    (package / "fast.cpython-311-aarch64-linux-gnu.so").touch()
    done = project.argosy("build", "hello.py", "--push", f"{server.host}/other/")
    assert done.returncode == 1
    assert "linux-gnu.so' is compiled for aarch64, and the image is for x86_64\n" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "host", "repository", "version"),
    [
        ("python:3.11-slim", HUB, "library/python", "3.11-slim"),
        ("python", HUB, "library/python", "latest"),
        ("team/app:1", HUB, "team/app", "1"),
        ("localhost/app", "localhost", "app", "latest"),
        ("127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000", "a/b/c", "x"),
        ("registry.example/app@sha256:" + "0" * 64, "registry.example", "app", "sha256:" + "0" * 64),
        ("registry.example/app:1@sha256:" + "0" * 64, "registry.example", "app", "sha256:" + "0" * 64),
    ],
)
def test_names_of_images_mean_what_docker_takes_them_for(
    text: str, host: str, repository: str, version: str
) -> None:
    image = Reference.parse(text)
    assert (image.host, image.repository, image.version) == (host, repository, version)


@pytest.mark.parametrize(
    "text", ["", "Upper", "a b", "a:", "a@sha256:1", "a//b", "-a", "a:b:c", "https://a.b/c"]
)
def test_what_is_no_name_of_an_image_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not the name of an image"):
        Reference.parse(text)


def test_a_layer_does_not_depend_on_order_times_or_modes(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"1")
    one = make_layer({"b/x": File(file), "a": File(b"2")}, "test")
    file.chmod(0o600)
    two = make_layer({"a": File(b"2"), "b/x": File(file)}, "test", tmp_path / "layer")
    assert (one.blob.digest, one.diff_id) == (two.blob.digest, two.diff_id)
    assert two.blob.size == (tmp_path / "layer").stat().st_size


def test_aws_logs_in_to_its_own_registries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import boto3

    asked: list[Any] = []
    token = base64.b64encode(b"AWS:secret").decode()

    def client(service: str, region_name: str) -> Any:
        def answer(**words: Any) -> Any:
            asked.append((service, region_name, words))
            return {"authorizationData": [{"authorizationToken": token}]}

        return SimpleNamespace(get_authorization_token=answer)

    monkeypatch.setattr(boto3, "client", client)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    found = credential_for("123456789012.dkr.ecr.eu-central-1.amazonaws.com")
    assert found and (found.user, found.secret) == ("AWS", "secret")
    assert "secret" not in repr(found)
    assert asked == [("ecr", "eu-central-1", {"registryIds": ["123456789012"]})]
    assert credential_for("registry.example") is None


def test_a_configuration_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for content, message in (
        ("{", "cannot read the credentials in"),
        ('{"auths": {"registry.example": {"auth": "%%"}}}', "is not readable; log in again"),
        ('{"auths": {"registry.example": {"auth": "YW5u"}}}', "has no password; log in again"),
    ):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(BuildError, match=message):
            credential_for("registry.example")


@pytest.mark.parametrize(
    "package",
    [
        "",
        "-r other.txt",
        "a\nb",
        "./tools",
        "/opt/tools",
        "git+https://forge.example/tools",
        "tools @ git+https://forge.example/tools",
        "tools @ file:///opt/tools-1.0-py3-none-any.whl",
        "https://files.example/tools-1.0-py3-none-any.whl",
        "tools==1.0 --hash=sha256:aa",
        "tools # for tables",
        "tools==",
    ],
)
def test_what_cannot_be_locked_is_refused_where_it_is_declared(package: str) -> None:
    with pytest.raises(DeclarationError, match="is not a package"):
        component(image="x", packages=[package])(lambda: None)


@pytest.mark.parametrize(
    "package",
    [
        "tools",
        "Tools >= 1.0, <2",
        "tools[tables, plots]==1.*",
        "tools (~=1.0)",
        "tools==2.0+cpu ; python_version >= '3.9'",
        "tools @ https://files.example/tools-1.0-py3-none-any.whl#sha256=aa",
    ],
)
def test_whatever_pip_takes_from_an_index_or_an_address_is_a_package(package: str) -> None:
    def step() -> None:
        """Do nothing."""

    component(image="x", packages=[package])(step)


@needs_registry
def test_what_has_no_hash_is_not_locked(project: Project, index: Path, server: Server) -> None:
    (project.folder / "tools").mkdir()
    (project.folder / "tools" / "pyproject.toml").write_text('[project]\nname = "tools"\nversion = "1.0"\n')
    (project.folder / "more.txt").write_text("./tools\n")
    push = ("--push", f"{server.host}/nohash/", "-r", "more.txt")
    done = project.argosy("build", "hello.py", *push)
    assert done.returncode == 1
    assert re.fullmatch(r"argosy: '.*tools.*' cannot be locked: it has no hash; .*\n", done.stderr)
    assert not (project.folder / "argosy.lock").exists()

"""`argosy build` against a real registry, read back by a real client."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.code.images.reference import Reference
from argosy.code.images.registry import Registry
from tests.cluster.conftest import write_kubeconfig
from tests.cluster.server import serving
from tests.code.images.conftest import (
    ANN,
    ARGOSY,
    WORDS,
    Project,
    Server,
    copied,
    make_project,
    needs_registry,
    needs_skopeo,
    put_base,
)
from tests.containers.engine import Engine
from tests.containers.small_image import put_python_image

pytestmark = needs_registry


def image_of(project: Project) -> str:
    """The image that the project's last build noted."""
    pins = yaml.safe_load((project.folder / "argosy.images.yaml").read_text())
    return str(pins[-1]["image"])


def sent(said: str) -> int:
    """How many bytes a build says that it sent."""
    match = re.search(r": (?:nothing|([\d.]+) (bytes|kB|MB)) sent$", said.strip())
    assert match, said
    return int(float(match[1] or 0) * {"bytes": 1, "kB": 1000, "MB": 10**6}.get(match[2], 0))


@needs_skopeo
def test_an_image_is_its_base_the_sdk_and_the_code(project: Project, server: Server, tmp_path: Path) -> None:
    project.built("--push", f"{server.host}/one/")
    manifest, config, _ = copied(image_of(project), tmp_path / "copy")
    base, _, _ = copied(project.base, tmp_path / "base")
    assert manifest["layers"][0] == base["layers"][0]
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == 4
    settings = config["config"]
    assert settings["User"] == "10001:10001"
    assert "Entrypoint" not in settings and "Cmd" not in settings
    assert settings["Labels"]["base"] == "yes"
    assert settings["Labels"]["org.opencontainers.image.base.name"] == project.base
    assert "PATH=/usr/local/bin:/usr/bin:/bin:/opt/argosy/packages/bin" in settings["Env"]


@needs_skopeo
def test_the_image_holds_all_that_a_step_needs(project: Project, server: Server, tmp_path: Path) -> None:
    project.built("--push", f"{server.host}/two/")
    manifest, config, blobs = copied(image_of(project), tmp_path / "copy")
    root = tmp_path / "root"
    for layer in manifest["layers"]:
        with tarfile.open(blobs / layer["digest"].partition(":")[2]) as archive:
            archive.extractall(root, filter="data")
    environment = dict(entry.partition("=")[::2] for entry in config["config"]["Env"])
    environment["PYTHONPATH"] = ":".join(f"{root}{p}" for p in environment["PYTHONPATH"].split(":"))
    # -S: nothing of this machine's packages is there.
    python = [getattr(sys, "_base_executable", sys.executable), "-S"]
    step = ["-m", "argosy.step", "hello:greet", "--who=Ada", f"--output-text={tmp_path}/text"]
    done = subprocess.run(
        [*python, *step], env=environment, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "text").read_text() == "Hello, Ada!"


@pytest.mark.skipif(not shutil.which("podman"), reason="skipped: no podman")
def test_podman_runs_steps_in_it(project: Project, server: Server, tmp_path: Path) -> None:
    engine = Engine.start(tmp_path / "store", project.environment)
    try:
        base = put_python_image(engine.podman, tmp_path, f"{server.host}/base/python:3.11")
        engine.podman("push", "--tls-verify=false", base)
        engine.podman("rmi", base)
        project.environment |= engine.environment
        project.built("--push", f"{server.host}/podman/", "--base", base)
        engine.podman("pull", "--tls-verify=false", image_of(project))
        step = ["python", "-m", "argosy.step", "hello:greet", "--who=Ada", "--output-text=/tmp/text"]
        script = f"""{" ".join(step)}; read said < /tmp/text; test "$said" = 'Hello, Ada!'"""
        engine.podman("run", "--rm", image_of(project), "sh", "-c", script)
        engine.podman("rmi", image_of(project))  # a run pulls it again
        done = project.argosy("run", "hello.py", "-p", "who=Ada", "--runner", "podman")
        assert done.returncode == 0, done.stderr
        assert "shout | HELLO, ADA!" in done.stderr
    finally:
        engine.remove()


def test_a_second_push_sends_nothing_and_a_changed_line_one_small_layer(
    project: Project, server: Server
) -> None:
    words = ("--push", f"{server.host}/three/")
    first = project.built(*words)
    assert sent(first) > 20_000
    before = image_of(project)
    assert project.built(*words) == first.partition(": ")[0] + ": nothing sent\n"
    (project.folder / "words.py").write_text(WORDS.replace("Hello", "Welcome"))
    assert sent(project.built(*words)) < 5_000
    layers = [layers_of(image) for image in (before, image_of(project))]
    assert len(set(layers[1]) - set(layers[0])) == 1


def layers_of(image: str) -> list[str]:
    """The digests of an image's layers."""
    reference = Reference.parse(image)
    manifest = json.loads(Registry(reference.host).manifest(reference)[0])
    return [layer["digest"] for layer in manifest["layers"]]


def test_the_same_code_has_the_same_digest_wherever_it_is(
    project: Project, server: Server, tmp_path: Path
) -> None:
    other = make_project(tmp_path / "elsewhere" / "deeper", project.base)
    for one in (project, other):
        one.built("--push", f"{server.host}/four/")
        os.utime(one.folder / "words.py", (1, 1))
    assert image_of(project) == image_of(other)


def test_a_base_of_the_same_registry_is_mounted_not_sent(server: Server, tmp_path: Path) -> None:
    base = put_base(server.host, "base/large:1", size=3_000_000)
    assert sent(make_project(tmp_path, base).built("--push", f"{server.host}/five/")) < 2_000_000


def test_a_base_of_another_registry_is_handed_through(
    server: Server, starting: Callable[..., Server], tmp_path: Path
) -> None:
    other = starting()
    base = put_base(other.host, "base/large:2", size=3_000_000)
    project = make_project(tmp_path / "project", base)
    assert sent(project.built("--push", f"{server.host}/six/")) > 2_900_000
    assert layers_of(base)[0] in layers_of(image_of(project))


def test_two_platforms_are_one_index(project: Project, server: Server) -> None:
    base = put_base(server.host, "base/both:1", "amd64", "arm64")
    both = ("--platform", "linux/amd64", "--platform", "linux/arm64")
    project.built("--push", f"{server.host}/seven/", "--base", base, *both)
    image = Reference.parse(image_of(project))
    index = json.loads(Registry(server.host).manifest(image)[0])
    assert [m["platform"]["architecture"] for m in index["manifests"]] == ["amd64", "arm64"]
    assert project.built("--push", f"{server.host}/seven/", "--base", base, *both).endswith("nothing sent\n")


def test_a_bill_of_materials_refers_to_the_image(project: Project, server: Server) -> None:
    project.built("--push", f"{server.host}/eight/")
    image, registry = Reference.parse(image_of(project)), Registry(server.host)
    place = Reference(image.host, image.repository, image.digest.replace(":", "-"))
    entry = json.loads(registry.manifest(place)[0])["manifests"][0]
    assert entry["artifactType"] == "application/vnd.cyclonedx+json"
    manifest = json.loads(registry.manifest(image.at(entry["digest"]))[0])
    assert manifest["subject"]["digest"] == image.digest
    document = json.loads(registry.blob(image, manifest["layers"][0]["digest"]))
    assert {c["name"] for c in document["components"]} == {project.base.partition(":3.11")[0], "argosy"}


def test_labels_name_the_commit_and_no_password(project: Project, server: Server) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
        done = subprocess.run(
            ["git", *identity, *words], cwd=project.folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("remote", "add", "origin", "https://me:secret@git.example/team/hello.git")
    git("add", "hello.py", "words.py")
    git("commit", "-q", "-m", "one")
    project.built("--push", f"{server.host}/nine/")
    labels = config_of(image_of(project))["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == git("rev-parse", "HEAD")
    assert labels["org.opencontainers.image.source"] == "https://git.example/team/hello.git"
    (project.folder / "words.py").write_text(WORDS + "# changed\n")
    project.built("--push", f"{server.host}/nine/")
    labels = config_of(image_of(project))["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == git("rev-parse", "HEAD") + "-dirty"


def config_of(image: str) -> dict[str, Any]:
    reference = Reference.parse(image)
    registry = Registry(reference.host)
    manifest = json.loads(registry.manifest(reference)[0])
    found: dict[str, Any] = json.loads(registry.blob(reference, manifest["config"]["digest"]))
    return found


def test_a_build_killed_in_the_middle_is_simply_run_again(
    starting: Callable[..., Server], server: Server, tmp_path: Path
) -> None:
    base = put_base(server.host, "base/huge:1", size=40_000_000)
    target = starting()
    project = make_project(tmp_path / "project", base)
    words = [str(ARGOSY), "build", "hello.py", "--push", f"{target.host}/ml/"]
    process = subprocess.Popen(words, cwd=project.folder, env=project.environment, stderr=subprocess.PIPE)
    while process.poll() is None and not list(target.storage.rglob("_uploads/*/data")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (project.folder / "argosy.images.yaml").exists()
    project.built("--push", f"{target.host}/ml/")
    assert layers_of(image_of(project))[0] == layers_of(base)[0]
    assert project.built("--push", f"{target.host}/ml/").endswith("nothing sent\n")


def test_a_registry_with_a_login(starting: Callable[..., Server], project: Project) -> None:
    host = starting(login=True).host
    words = ("build", "hello.py", "--push", f"{host}/ml/")
    done = project.argosy(*words)
    assert (done.returncode, done.stderr) == (
        1,
        f"argosy: not logged in to {host}: run 'docker login {host}' or 'podman login'\n",
    )
    config = project.folder / "home" / ".docker" / "config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"auths": {host: {"auth": "YW5uOndyb25n"}}}))
    done = project.argosy(*words)
    assert done.stderr == f"argosy: {host} refuses 'ann' with the password from {config}: log in again\n"
    config.write_text(json.dumps({"auths": {host: {"auth": "YW5uOnNlc2FtZQ=="}}}))
    assert project.argosy(*words).returncode == 0
    assert ANN.partition(":")[0] == "ann"


def test_a_credential_helper_is_asked(starting: Callable[..., Server], project: Project) -> None:
    host = starting(login=True).host
    config = project.folder / "home" / ".docker" / "config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"credHelpers": {host: "tests"}}))
    done = project.argosy("build", "hello.py", "--push", f"{host}/ml/")
    assert "asks 'docker-credential-tests'" in done.stderr and "no such program" in done.stderr
    helper = project.folder / "bin" / "docker-credential-tests"
    helper.parent.mkdir()
    helper.write_text('#!/bin/sh\necho \'{"Username": "ann", "Secret": "sesame"}\'\n')
    helper.chmod(0o755)
    project.environment["PATH"] = f"{helper.parent}:{project.environment['PATH']}"
    assert project.argosy("build", "hello.py", "--push", f"{host}/ml/").returncode == 0


def test_what_a_registry_lacks_or_is_not_there_is_one_line(project: Project, server: Server) -> None:
    def said(*words: str) -> str:
        done = project.argosy("build", "hello.py", *words)
        assert done.returncode in (1, 2)
        assert done.stderr.count("\n") == 1
        return done.stderr

    push = ("--push", f"{server.host}/ml/")
    missing = f"{server.host}/base/none:1"
    assert said(*push, "--base", missing) == f"argosy: there is no image '{missing}'\n"
    assert "127.0.0.1:1 cannot be reached: Connection refused\n" in said("--push", "127.0.0.1:1/ml/")
    assert "is not there for linux/s390x" in said(
        *push, "--base", put_base(server.host, "base/two:1", "amd64", "arm64"), "--platform", "linux/s390x"
    )
    base = project.base
    assert f"'{base}' is not there for linux/arm64; it is for linux/amd64" in said(
        *push, "--base", base, "--platform", "linux/arm64"
    )
    assert "'Not An Image' is not the name of an image" in said(*push, "--base", "Not An Image")
    assert "'windows' is not a platform" in said(*push, "--platform", "windows")
    assert "say where to: --push" in said()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--tag", "bad tag"), "--tag 'bad tag' is no tag of an image"),
        (("--tag", "good", "--tag", ".x"), "--tag '.x' is no tag of an image"),
        (("--platform", "windows"), "'windows' is not a platform such as linux/amd64"),
        (("--push", "127.0.0.1:99999/ml/"), "--push '127.0.0.1:99999/ml/': '127.0.0.1:99999/ml/hello' is"),
        (("--push", "a.example/ML/"), "--push 'a.example/ML/': 'a.example/ML/hello' is not the name"),
        (("-o", "x.tar", "--tag", "a b"), "--tag 'a b' is no tag of an image"),
        (("-o", "x.tar", "--name", "a b"), "--name 'a b' is no name of an image"),
        (("--name", "a:1"), "--name 'a:1' is no name of an image"),
        (("--python", "3.11.x"), "'3.11.x' is no version of Python such as 3.11"),
        (("-o", "-"), "-o names the archive's file, such as hello.tar, and '-' is none"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_told_before_anything_is_sent(
    project: Project, server: Server, words: tuple[str, ...], told: str
) -> None:
    push = () if "--push" in words or "-o" in words else ("--push", f"{server.host}/ml/")
    done = project.argosy("build", "hello.py", *push, *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"argosy: {told}")
    assert not (server.storage / "docker/registry/v2/repositories/ml").exists()
    assert not (project.folder / "x.tar").exists() and not (project.folder / "argosy.images.yaml").exists()


def test_tls_that_is_asked_for_is_asked_of_the_registry(project: Project, server: Server) -> None:
    done = project.argosy("build", "hello.py", "--push", f"https://{server.host}/ml/")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"argosy: {server.host}: TLS failed: " in done.stderr or "cannot be reached" in done.stderr
    assert not (server.storage / "docker/registry/v2/repositories/ml").exists()


@pytest.mark.parametrize("status", [200, 204])
def test_a_server_that_says_yes_to_everything_is_no_registry(
    project: Project, server: Server, status: int
) -> None:
    class Yes(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_POST = do_PUT = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Yes) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{web.server_port}"
        done = project.argosy("build", "hello.py", "--push", f"http://{host}/ml/")
        web.shutdown()
    assert (done.returncode, done.stderr) == (
        1, f"argosy: {host} stored no image: it is no registry, or a proxy is in the way\n"
    )  # fmt: skip


def test_a_certificate_that_nobody_knows_is_one_line_until_it_is_known(
    starting: Callable[..., Server], project: Project, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    host = starting(certificate=(certificate, key)).host
    done = project.argosy("build", "hello.py", "--push", f"{host}/ml/")
    assert f"{host}: TLS failed: " in done.stderr and "SSL_CERT_FILE" in done.stderr
    assert done.stderr.count("\n") == 1
    project.environment["SSL_CERT_FILE"] = str(certificate)
    done = project.argosy("build", "hello.py", "--push", f"{host}/ml/")
    assert done.returncode == 0, done.stderr


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for loopback that only itself vouches for, and its key."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private


def test_compile_and_submit_write_the_digest_until_the_code_changes(project: Project, server: Server) -> None:
    project.built("--push", f"{server.host}/ten/")
    image = f"image: {image_of(project)}\n"
    for words in (("compile", "hello.py"), ("submit", "hello.py", "--dry-run")):
        assert project.argosy(*words).stdout.count(image) == 2
    below = replace(project, folder=project.folder / "below")
    below.folder.mkdir()
    for words in (("compile", "../hello.py"), ("submit", "../hello.py", "--dry-run")):
        assert below.argosy(*words).stdout.count(image) == 2
    (project.folder / "words.py").write_text(WORDS + "# changed\n")
    for words in (("compile", "hello.py"), ("submit", "hello.py", "--dry-run")):
        done = project.argosy(*words)
        assert done.returncode == 2
        assert "argosy.images.yaml: the code of step 'greet' changed since its image was built" in done.stderr
    assert project.argosy("graph", "hello.py").returncode == 0
    project.built("--push", f"{server.host}/ten/")
    assert f"image: {image_of(project)}\n" in project.argosy("compile", "hello.py").stdout


def test_settings_say_where_images_go(project: Project, server: Server) -> None:
    settings = project.folder / "argosy.yaml"
    settings.write_text(f"build: {{push: '{server.host}/eleven/'}}\n")
    assert f"{server.host}/eleven/hello@sha256:" in project.built()
    settings.write_text("build: {platforms: linux/amd64}\n")
    assert "argosy.yaml:1: build.platforms is not a list" in project.argosy("build", "hello.py").stderr
    settings.write_text("build:\n  platforms: [5]\n")
    assert (
        "argosy.yaml:2: build.platforms: '5' is not a platform" in project.argosy("build", "hello.py").stderr
    )
    settings.write_text("build:\n  python: x\n")
    assert "argosy.yaml:2: build.python: 'x' is no version" in project.argosy("build", "hello.py").stderr
    settings.write_text("build: {psuh: x}\n")
    assert "build has no 'psuh'; did you mean 'push'?" in project.argosy("build", "hello.py").stderr


def test_an_environments_image_of_a_step_is_built_upon(project: Project, server: Server) -> None:
    other = put_base(server.host, "base/other:3.11")
    greet = f"components: {{gr*: {{image: '{server.host}/base/no:1'}}, greet: {{image: '{other}'}}}}"
    (project.folder / "argosy.yaml").write_text(
        f"build: {{push: '{server.host}/env/'}}\nenvironments:\n  prod: {{}}\n  dev: {{{greet}}}\n"
    )
    for name, bases in (("prod", 1), ("dev", 2)):
        built = {line.rpartition(": ")[0] for line in project.built("--env", name).splitlines()}
        compiled = project.argosy("compile", "hello.py", "--env", name).stdout.splitlines()
        assert built == {line.partition(": ")[2] for line in compiled if line.startswith("      image: ")}
        assert len(built) == bases


@needs_skopeo
def test_an_archive_is_what_other_tools_read(project: Project, tmp_path: Path) -> None:
    done = project.argosy("build", "hello.py", "-o", "hello.tar", "--tag", "1.0")
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        ["skopeo", "inspect", f"oci-archive:{project.folder}/hello.tar:1.0"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(shown.stdout)["Layers"]) == 4
    docker = ["skopeo", "copy", f"docker-archive:{project.folder}/hello.tar", f"dir:{tmp_path}/docker"]
    done = subprocess.run(docker, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (project.folder / "argosy.images.yaml").exists()


def test_argosys_own_steps_get_an_image_where_a_base_is_named(project: Project, server: Server) -> None:
    words = ("build", "argosy.components.deployment", "--push", f"{server.host}/own/")
    assert "--base IMAGE makes one" in project.argosy(*words).stderr
    done = project.argosy(*words, "--base", project.base, "--name", "mlops-deployment-tools")
    assert done.returncode == 0, done.stderr
    compiled = project.argosy("compile", "rollback-model").stdout
    assert f"image: {server.host}/own/mlops-deployment-tools@sha256:" in compiled


def test_submit_builds_first_and_sends_the_digest(project: Project, server: Server) -> None:
    (project.folder / "argosy.yaml").write_text(f"build: {{push: '{server.host}/submitted/'}}\n")
    with serving() as cluster:
        project.environment["KUBECONFIG"] = str(write_kubeconfig(project.folder / "kubeconfig", cluster.url))
        done = project.argosy("submit", "hello.py", "--build")
        assert done.returncode == 0, done.stderr
        (workflow,) = cluster.store.objects.values()
    images = {t["container"]["image"] for t in workflow["spec"]["templates"] if "container" in t}
    assert images == {image_of(project)}
    assert "--dry-run sends nothing" in project.argosy("submit", "hello.py", "--build", "--dry-run").stderr

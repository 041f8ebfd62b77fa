"""Bringing versions into service, on the real Triton."""

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import requests

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.swap import serving
from argosy.components.deployment.swap.serving import config_names
from argosy.components.deployment.swap.sole import Place, sole
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import StepError
from tests.components.deployment import models
from tests.components.deployment.configuring import published_config
from tests.components.deployment.conftest import Servers


@dataclass(frozen=True)
class Repository:
    """The test's own model, with versions put straight into the bucket, whatever their bytes are."""

    place: Place

    def put(self, *versions: int, model: bytes | None = None) -> None:
        for version in versions:
            key = self.place.keys.version(version) + "model.onnx"
            assert self.place.bucket.write_if_absent(key, model or models.conv_net(version))

    def serve(self, *versions: int) -> None:
        """Serve these and no other."""
        with sole(self.place, "test", Deadline.after(60)) as hold:
            serving.serve_exactly(hold, versions, Deadline.after(60))

    def bring(self, version: int, beside: Collection[int] = (), seconds: float = 60) -> None:
        """Bring one into service."""
        deadline = Deadline.after(seconds)
        with sole(self.place, "test", deadline) as hold:
            serving.bring_into_service(hold, version, beside, deadline)

    def ready(self) -> set[int]:
        return set(serving.ready_versions(self.place.triton, self.place.model))

    def named(self) -> set[int]:
        return set(config_names(self.place))

    def config(self) -> str:
        found = self.place.bucket.read(self.place.keys.config)
        return found[0].decode() if found else ""

    def rewrite(self, text: str) -> None:
        """Change config.pbtxt by hand."""
        found = self.place.bucket.read(self.place.keys.config)
        assert found
        assert self.place.bucket.write_if_unchanged(self.place.keys.config, text.encode(), found[1])

    def load_by_hand(self) -> requests.Response:
        """What an operator, or a restart, does: a load that says nothing but the name."""
        url = f"{self.place.triton.url}/v2/repository/models/{self.place.model}/load"
        return requests.post(url, json={}, timeout=60)

    def unload_by_hand(self) -> None:
        """What a restart of Triton does to the model."""
        self.place.triton.unload(self.place.model, 30)
        serving.wait_settled(self.place.triton, self.place.model, (), Deadline.after(30))

    def answers(self, version: int) -> bool:
        """Whether the version answers a real request."""
        image = np.ones((1, 3, models.SIZE, models.SIZE), np.float32)
        answer = self.place.triton.infer(self.place.model, version, {"input": image})
        return answer["output"].shape == (1, models.CLASSES)


@pytest.fixture
def repository(bucket: Bucket, keys: ModelKeys, triton: Triton, tmp_path: Path) -> Repository:
    """A repository with nothing but config.pbtxt."""
    published_config(bucket, keys, tmp_path)
    return Repository(Place(triton, bucket, keys))


def test_a_new_version_is_served_beside_the_old_one_and_no_request_fails(repository: Repository) -> None:
    repository.put(1)
    repository.bring(1)
    repository.put(2, 3)  # 3 is a later one, that nobody asked for
    swapped, answered = threading.Event(), []

    def use() -> None:
        while not swapped.wait(0.01):
            answered.append(repository.answers(1))

    with ThreadPoolExecutor(1) as pool:
        user = pool.submit(use)
        try:
            repository.bring(2, beside=[1])
        finally:
            swapped.set()
        user.result()  # raises what a request raised
    assert answered
    assert all(answered)
    assert repository.answers(2)
    assert repository.ready() == repository.named() == {1, 2}


def test_nothing_but_the_named_versions_comes_up_by_itself(repository: Repository) -> None:
    repository.put(1, 2, 3)
    assert "at least one version must be available" in repository.load_by_hand().text
    repository.serve(2)
    repository.put(4)
    for step in (lambda: None, repository.unload_by_hand):
        step()
        assert repository.load_by_hand().status_code == 200
        assert repository.ready() == {2}


def test_exactly_these(repository: Repository) -> None:
    repository.put(1, 2, 3)
    for versions in ({1, 3}, {3}, {2}, set(), {1}):
        repository.serve(*versions)
        assert repository.ready() == repository.named() == versions
    with pytest.raises(StepError, match=r"version 9 of .* is not in bucket .*: publish it again"):
        repository.serve(1, 9)
    assert repository.ready() == repository.named() == {1}


def test_triton_is_asked_of_the_model_alone(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its index Triton makes a request to S3 for each model that lies there, whoever's it is."""
    monkeypatch.setattr(Triton, "index", lambda *_: pytest.fail("nothing went wrong"))
    assert repository.ready() == set()
    repository.put(1, 2)
    for versions in ({1}, {1, 2}, {2}, set()):
        repository.serve(*versions)
        assert repository.ready() == versions
    repository.serve(1)
    repository.unload_by_hand()
    assert repository.ready() == set()


def test_who_is_no_triton_knows_no_versions(repository: Repository, servers: Servers) -> None:
    expected = f"tell the versions of '{repository.place.model}': HTTP status 404, .*no answer of Triton's"
    with pytest.raises(StepError, match=expected):
        Triton(servers.mlflow).ready_versions(repository.place.model)


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b"[1]", b"null", b'{"versions": ["x"]}'])
def test_who_answers_everything_with_200_is_no_triton(body: bytes) -> None:
    """As the page of a proxy that wants a password."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        triton = Triton(f"http://127.0.0.1:{server.server_port}")
        asked: list[Callable[[], object]] = [
            lambda: triton.ready_versions("model"),
            lambda: triton.describe("model", 1),
            lambda: triton.infer("model", 1, {"x": np.zeros((1, 1), np.float32)}),
        ]
        for ask in asked:
            with pytest.raises(StepError, match="is no answer of Triton's; is another server there"):
                ask()
        server.shutdown()


def test_a_version_that_stays_is_not_loaded_again(repository: Repository) -> None:
    repository.put(1, 2)
    repository.serve(1)
    repository.answers(1)
    url = f"{repository.place.triton.url}/v2/models/{repository.place.model}/versions/1/stats"

    def answered() -> int:
        return int(requests.get(url, timeout=10).json()["model_stats"][0]["inference_count"])

    before = answered()
    repository.serve(1, 2)
    repository.load_by_hand()
    assert answered() == before > 1  # a version that is loaded anew begins with the request that warms it up


def test_what_an_operator_tuned_stays(repository: Repository) -> None:
    repository.put(1, 2)
    repository.serve(1)
    tuned = "# three are enough\n" + repository.config().replace("count: 1", "count: 3")
    repository.rewrite(tuned.replace("version_policy {", "version_policy: {"))
    repository.bring(2, beside=[1])
    assert repository.config().startswith("# three are enough\n# Written from")
    assert repository.place.triton.config(repository.place.model, 2)["instance_group"][0]["count"] == 3
    assert repository.named() == {1, 2}


def test_a_file_with_the_policy_of_the_latest_two(repository: Repository) -> None:
    repository.put(1, 2, 3, 4)
    latest = repository.config().replace("specific {", "latest { num_versions: 2")
    repository.rewrite(latest)
    assert repository.load_by_hand().status_code == 200
    assert repository.ready() == {3, 4}
    repository.bring(1, beside=[3])
    assert repository.ready() == repository.named() == {1, 3}


def test_a_garbage_version_leaves_the_old_one_serving_and_the_next_one_free(repository: Repository) -> None:
    repository.put(1)
    repository.bring(1)
    repository.put(2, model=b"garbage")
    with pytest.raises(StepError, match=r"serving: version 1\).*version 2 is at UNAVAILABLE.*onnx") as caught:
        repository.bring(2, beside=[1])
    assert "\n" not in str(caught.value)
    assert repository.answers(1)
    assert repository.named() == {1}
    repository.unload_by_hand()
    assert repository.load_by_hand().status_code == 200  # a restart is not troubled by it
    repository.put(3)
    repository.bring(3, beside=[1, 2])  # were 2 asked for, it would be left out
    assert repository.ready() == repository.named() == {1, 3}


def test_the_first_version_may_be_garbage_over_http_too(repository: Repository) -> None:
    http = Repository(replace(repository.place, triton=Triton(repository.place.triton.url)))
    http.put(1, model=b"garbage")
    with pytest.raises(StepError, match="still serving: no version"):
        http.bring(1)
    http.put(2)
    http.bring(2)
    assert http.answers(2)


def test_a_version_that_fails_its_first_request_is_taken_out_again(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.put(1, 2)

    def fail(*_: object) -> None:
        raise StepError("no answer")

    monkeypatch.setattr(serving, "smoke_test", fail)
    with pytest.raises(StepError, match=r"still serving: no version\): no answer"):
        repository.bring(1)
    assert repository.ready() == repository.named() == set()
    repository.serve(1)
    with pytest.raises(StepError, match=r"still serving: version 1\): no answer"):
        repository.bring(2, beside=[1])
    assert repository.ready() == repository.named() == {1}


def test_a_config_that_does_not_fit(repository: Repository) -> None:
    repository.put(1)
    repository.bring(1)
    repository.put(2, model=models.conv_net(size=16))
    with pytest.raises(StepError, match=r"still serving: version 1\)"):
        repository.bring(2, beside=[1])
    assert repository.answers(1)


def test_a_model_that_is_not_published(repository: Repository, triton: Triton, bucket: Bucket) -> None:
    with pytest.raises(StepError, match=r"still serving: no version\): version 9 .* is not in bucket"):
        repository.bring(9)
    nowhere = Repository(Place(triton, bucket, ModelKeys("models", "no-such-model")))
    nowhere.put(1)
    with pytest.raises(StepError, match=r"no-such-model/config\.pbtxt is not in bucket .*: run upload-to-s3"):
        nowhere.bring(1)


def test_grpc_that_does_not_answer(repository: Repository, caplog: pytest.LogCaptureFixture) -> None:
    repository.put(1)
    triton = Triton(repository.place.triton.url, "127.0.0.1:1")
    Repository(replace(repository.place, triton=triton)).bring(1)
    assert "gRPC service at 127.0.0.1:1 does not answer" in caplog.text
    assert repository.answers(1)


def test_nobody_answers(repository: Repository) -> None:
    repository.put(1)
    down = Repository(replace(repository.place, triton=Triton("http://127.0.0.1:1", "127.0.0.1:1")))
    start = time.monotonic()
    with pytest.raises(StepError, match="does not answer"):
        down.bring(1, seconds=2)
    assert time.monotonic() - start < 30  # bounded, though the server never comes
    assert repository.named() == set()

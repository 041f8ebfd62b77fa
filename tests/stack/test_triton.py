"""Triton serves ONNX models out of the stack's S3 bucket, with the answers of ONNX Runtime itself."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
import requests
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from argosy.stack import Stack

from .conftest import processes_of
from .models import CLASSES, FEATURES, LINEAR_CONFIG, echo_text, linear, lookup, publish

# Requests wait for company a little, so that those sent at once become one batch.
WAIT_FOR_BATCH = "max_batch_size: 8\ndynamic_batching { max_queue_delay_microseconds: 300000 }"


def expected(model: bytes, batch: np.ndarray) -> np.ndarray:
    """What ONNX Runtime says in this process."""
    return onnxruntime.InferenceSession(model).run(None, {"input": batch})[0]


def batch_of(size: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((size, FEATURES)).astype(np.float32)


def load(stack: Stack, name: str) -> requests.Response:
    return requests.post(
        f"{stack.endpoints().triton.http}/v2/repository/models/{name}/load", json={}, timeout=60
    )


def infer(client, library, name: str, tensors: dict[str, np.ndarray], output: str, **options) -> np.ndarray:
    """Ask by either protocol, with binary tensors."""
    inputs = []
    for key, array in tensors.items():
        tensor = library.InferInput(key, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    result = client.infer(name, inputs, outputs=[library.InferRequestedOutput(output)], **options)
    return result.as_numpy(output)


@pytest.fixture(scope="module")
def http_client(stack: Stack) -> Iterator[http.InferenceServerClient]:
    with http.InferenceServerClient(
        stack.endpoints().triton.http.removeprefix("http://"), concurrency=8, network_timeout=60
    ) as one:
        yield one


@pytest.fixture(scope="module")
def grpc_client(stack: Stack) -> Iterator[grpc.InferenceServerClient]:
    with grpc.InferenceServerClient(stack.endpoints().triton.grpc) as one:
        yield one


@pytest.fixture(scope="module")
def served(stack: Stack) -> str:
    """The name of a linear model that is loaded."""
    publish(stack.endpoints().s3, "linear", 1, linear())
    answer = load(stack, "linear")
    assert answer.status_code == 200, answer.text
    return "linear"


def test_both_protocols_give_onnxruntimes_answer(served: str, http_client, grpc_client):
    batch = batch_of(5)
    for client, library in ((http_client, http), (grpc_client, grpc)):
        got = infer(client, library, served, {"input": batch}, "output")
        np.testing.assert_allclose(got, expected(linear(), batch), atol=1e-6)


def test_a_model_that_was_loaded_at_low_priority_answers_at_the_servers_own(served: str, stack: Stack):
    found = processes_of(stack.state_dir)
    (server,) = (one for one in found if one.name() == "tritonserver")
    stubs = [one for one in server.children(recursive=True) if "stub" in one.name()]
    assert stubs
    for stub in stubs:
        # Its first thread is the one that answers; those that did the load may idle on at their priority.
        assert os.getpriority(os.PRIO_PROCESS, stub.pid) == server.nice()


def executions(client: grpc.InferenceServerClient, name: str) -> int:
    """How often the model ran, for however many requests; the answer leaves a zero out."""
    (statistics,) = client.get_inference_statistics(name, as_json=True)["model_stats"]
    return int(statistics.get("execution_count", 0))


def test_requests_that_are_batched_together_get_their_own_answers(served: str, grpc_client):
    batches = [batch_of(1 + seed % 3, seed) for seed in range(24)]
    before = executions(grpc_client, served)
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda one: infer(grpc_client, grpc, served, {"input": one}, "output"), batches)
        )
    for batch, answer in zip(batches, answers, strict=True):
        np.testing.assert_allclose(answer, expected(linear(), batch), atol=1e-6)
    assert executions(grpc_client, served) - before < len(batches)


def test_a_configuration_without_tensors_is_completed_from_the_model(stack: Stack, http_client):
    publish(stack.endpoints().s3, "bare", 1, linear(3), rest="")
    assert load(stack, "bare").status_code == 200
    completed = http_client.get_model_config("bare")
    assert completed["max_batch_size"] == 4
    assert "dynamic_batching" in completed
    assert [tensor["dims"] for tensor in completed["input"] + completed["output"]] == [[FEATURES], [CLASSES]]
    batch = batch_of(2)
    got = infer(http_client, http, "bare", {"input": batch}, "output")
    np.testing.assert_allclose(got, expected(linear(3), batch), atol=1e-6)


def test_text_travels_both_ways(stack: Stack, grpc_client):
    publish(stack.endpoints().s3, "echo", 1, echo_text(), rest="")
    assert load(stack, "echo").status_code == 200
    text = np.array([["Gruß".encode()], [b""]], dtype=np.object_)
    assert infer(grpc_client, grpc, "echo", {"text": text}, "same").tolist() == text.tolist()


def test_only_the_request_that_fails_gets_the_error(stack: Stack, grpc_client):
    publish(stack.endpoints().s3, "lookup", 1, lookup(), rest=WAIT_FOR_BATCH)
    assert load(stack, "lookup").status_code == 200

    def ask(row: int) -> int | str:
        try:
            return int(infer(grpc_client, grpc, "lookup", {"row": np.array([[row]])}, "square")[0, 0])
        except InferenceServerException as error:
            return str(error.message())

    with ThreadPoolExecutor(4) as pool:
        good, bad, also_good = pool.map(ask, [1, 7, 2])
    assert (good, also_good) == (1, 4)
    assert "onnx runtime error" in str(bad) and "7" in str(bad)


MISFITS = {
    "garbage": (b"this is no model", LINEAR_CONFIG, "onnx runtime error"),
    "misnamed": (linear(), LINEAR_CONFIG.replace('"output"', '"result"'), "unexpected output 'result'"),
    "misshaped": (linear(), LINEAR_CONFIG.replace("[6]", "[7]"), "the model has TYPE_FP32 [-1, 6]"),
    "mistyped": (linear(), LINEAR_CONFIG.replace("TYPE_FP32", "TYPE_FP64"), "configuration says TYPE_FP64"),
    "unthreaded": (linear(), LINEAR_CONFIG.replace('"1"', '"many"'), "'many' is not a whole number"),
}


def test_a_model_that_does_not_fit_its_configuration_is_not_loaded(stack: Stack):
    for name, (model, rest, _) in MISFITS.items():
        publish(stack.endpoints().s3, name, 1, model, rest)
    with ThreadPoolExecutor(len(MISFITS)) as pool:
        answers = pool.map(lambda name: load(stack, name), MISFITS)
    for answer, (_, _, message) in zip(answers, MISFITS.values(), strict=True):
        assert answer.status_code == 400
        assert message in answer.json()["error"]

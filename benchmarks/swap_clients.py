"""Clients of a served model: `python -m benchmarks.swap_clients HTTP GRPC MODEL RATE`, until its input ends.

Twelve connections, eight over HTTP and four over gRPC, send requests of one image on a fixed schedule,
RATE a second in all, and name no version, as most clients do.  A request's time counts from the moment when
it was due: one that waits behind a stalled one has been delayed as well.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http

HTTP, GRPC = 8, 4
IMAGE = (1, 3, 32, 32)
TIMEOUT = 30.0


def connection(library: Any, address: str, model: str, **patience: float) -> Callable[[], str]:
    """One connection; called, it sends a request and gives "", or what went wrong."""
    client = library.InferenceServerClient(address, **patience)
    tensor = library.InferInput("input", IMAGE, "FP32")
    tensor.set_data_from_numpy(np.random.default_rng(0).standard_normal(IMAGE, np.float32))
    options = {"client_timeout": TIMEOUT} if library is tritonclient.grpc else {}

    def ask() -> str:
        try:
            answer = client.infer(model, [tensor], **options).as_numpy("output")
        except Exception as error:  # whatever a client meets is a failed request
            return f"{type(error).__name__}: {error}"
        return "" if answer.shape == (1, 10) and np.isfinite(answer).all() else f"answered {answer!r}"

    return ask


def use(ask: Callable[[], str], first: float, pause: float, over: threading.Event, log: list[Any]) -> None:
    """Send on schedule until it is over; notes (due, done, what went wrong), times of the monotonic clock."""
    due = first
    while not over.wait(max(0.0, due - time.monotonic())):
        wrong = ask()
        log.append((due, time.monotonic(), wrong))
        due += pause


def main(http: str, grpc: str, model: str, rate: float) -> None:
    """Run until standard input ends; then write the requests as JSON."""
    pause = (HTTP + GRPC) / rate
    asks = [
        connection(tritonclient.http, http, model, network_timeout=TIMEOUT, connection_timeout=TIMEOUT)
        for _ in range(HTTP)
    ] + [connection(tritonclient.grpc, grpc, model) for _ in range(GRPC)]
    over, log, start, spread = threading.Event(), [], time.monotonic() + 0.2, random.Random(0)
    threads = [
        threading.Thread(target=use, args=(ask, start + spread.random() * pause, pause, over, log))
        for ask in asks
    ]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    json.dump(log, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:4], float(sys.argv[4]))

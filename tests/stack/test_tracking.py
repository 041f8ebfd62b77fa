"""The MLflow server hands out files in few pieces."""

import io
from collections.abc import Iterable
from typing import Any

from flask import Flask, Response, send_file

from argosy.stack.tracking import in_large_chunks

SIZE = (1 << 20) + 1


def _asked(*, large: bool) -> list[int]:
    """The sizes of the pieces in which a file comes."""
    app = Flask("artifacts")

    @app.get("/file")
    def file() -> Response:
        return send_file(io.BytesIO(bytes(SIZE)), mimetype="application/octet-stream")

    if large:
        app.wsgi_app = in_large_chunks(app.wsgi_app)  # type: ignore[method-assign]
    environ = app.test_request_context("/file").request.environ
    pieces: Iterable[Any] = app(environ, lambda *_: None)
    return [len(piece) for piece in pieces]


def test_a_file_comes_in_few_pieces() -> None:
    assert _asked(large=True) == [1 << 18] * 4 + [1]
    assert sum(_asked(large=False)) == SIZE
    assert len(_asked(large=False)) == 129

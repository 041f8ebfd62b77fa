"""Modules that are loaded when they are first used: whoever asks gets what Python itself would give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LATE = """
import sys
from argosy.cli import late
late.install()
import asyncio, hashlib, hmac, secrets, ssl
"""
TOGETHER = """
import threading
start, problems = threading.Barrier(16), []
def ask():
    start.wait()
    try:
        hashlib.sha256(b""), secrets.token_hex(), ssl.create_default_context(), hmac.new(b"", b"", "sha256")
    except BaseException as error:
        problems.append(error)
threads = [threading.Thread(target=ask) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(problems)
"""
BROKEN = """
sys.modules["_ssl"] = None
for _ in range(2):
    try:
        ssl.SSLContext
    except ImportError as error:
        print(error.name, type(ssl).__name__)
del sys.modules["_ssl"]
print(ssl.SSLContext.__name__, type(ssl).__name__)
"""


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print({'_ssl', '_hashlib'} & set(sys.modules))", "set()"),
        ("print(hashlib.__spec__.name, '_hashlib' in sys.modules)", "hashlib False"),
        ("from hashlib import sha256\nprint(sha256(b'').hexdigest()[:6])", "e3b0c4"),
        ("from asyncio import sslproto\nprint(sslproto.SSLProtocol.__name__)", "SSLProtocol"),
        ("print('SSLContext' in dir(ssl), type(ssl).__name__)", "True module"),
        ("ssl.mine = 1\nprint(ssl.mine, ssl.SSLContext.__name__)", "1 SSLContext"),
        ("del ssl.SSLContext\nprint(hasattr(ssl, 'SSLContext'))", "False"),
        ("import pickle\nprint(pickle.loads(pickle.dumps(ssl.TLSVersion.TLSv1_3)).name)", "TLSv1_3"),
        ("late.install()\nprint(sys.meta_path.count(late.Finder))", "1"),
        (TOGETHER, "[]"),
        (BROKEN, "_ssl _Late\n_ssl _Late\nSSLContext module"),
    ],
)
def test_a_late_module_is_the_module(code: str, says: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LATE + code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (says, "")

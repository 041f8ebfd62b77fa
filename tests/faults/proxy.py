"""A TCP proxy that stands in front of a real server and breaks the connection on demand.

The server behind it is never touched: what a client meets is what a bad network, a dead host or an
overloaded load balancer would show it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

CHUNK = 16 * 1024


@dataclass(frozen=True)
class Fault:
    """What happens to connections.

    Attributes:
        refuse: close at once, with a reset.
        hang: take the connection and never answer.
        status: answer each connection's first bytes with this HTTP status, then close.
        bytes_per_second: both directions are this slow.
        reset_after: reset once the client has sent this many bytes.
        cut_answer_after: reset once the server has answered this many bytes.
        times: only so many connections are met by the fault; 0 means all of them.
    """

    refuse: bool = False
    hang: bool = False
    status: int = 0
    bytes_per_second: int = 0
    reset_after: int = 0
    cut_answer_after: int = 0
    times: int = 0


HEALTHY = Fault()


class FaultProxy:
    """Forwards to `target` (http://HOST:PORT or HOST:PORT), with `fault` on the way."""

    def __init__(self, target: str, fault: Fault = HEALTHY) -> None:
        parts = urlsplit(target if "//" in target else f"//{target}")
        assert parts.hostname and parts.port
        self._target = (parts.hostname, parts.port)
        self._scheme = parts.scheme
        self._fault = fault
        self._met = 0
        self._ended = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """The proxy's address, in the form in which the target was given."""
        address = f"{self._target[0]}:{self.port}"
        return f"{self._scheme}://{address}" if self._scheme else address

    @property
    def met(self) -> int:
        """How many connections the present fault has met, or the last one did."""
        return self._met

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[FaultProxy]:
        """While inside: new connections meet `fault`, open ones are reset."""
        self._set(fault)
        try:
            yield self
        finally:
            self._set(HEALTHY)

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._set(HEALTHY)

        async def end() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _set(self, fault: Fault) -> None:
        async def change() -> None:
            self._fault = fault
            if fault is not HEALTHY:
                self._met = 0
            self._ended.set()
            self._ended = asyncio.Event()
            for writer in list(self._writers):
                _reset(writer)

        asyncio.run_coroutine_threadsafe(change(), self._loop).result()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._next_fault()
        self._writers.add(writer)
        try:
            await self._meet(fault, reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # either side went away, or the proxy does: that is what it is for
        finally:
            self._writers.discard(writer)
            writer.close()

    def _next_fault(self) -> Fault:
        if self._fault is HEALTHY:
            return HEALTHY
        if self._fault.times and self._met >= self._fault.times:
            return HEALTHY
        self._met += 1
        return self._fault

    async def _meet(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if fault.refuse:
            _reset(writer)
        elif fault.hang:
            await self._ended.wait()
        elif fault.status:
            await reader.read(CHUNK)
            writer.write(f"HTTP/1.1 {fault.status} Fault\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            # What the client still sends is read: to close on it would reset, and lose, the answer.
            writer.write_eof()
            while await reader.read(CHUNK):
                pass
        else:
            await self._forward(fault, reader, writer)

    async def _forward(
        self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers.add(far_writer)
        try:
            pumps = [  # client to server, server to client
                asyncio.create_task(_pump(reader, far_writer, fault.bytes_per_second, fault.reset_after)),
                asyncio.create_task(
                    _pump(far_reader, writer, fault.bytes_per_second, fault.cut_answer_after)
                ),
            ]
            done, pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            for task in pending:
                task.cancel()
            if any(task.exception() for task in done):
                _reset(writer)
        finally:
            self._writers.discard(far_writer)
            far_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, speed: int, limit: int) -> None:
    """Copy until the end; ConnectionResetError once `limit` bytes have passed."""
    passed = 0
    while data := await source.read(min(CHUNK, max(speed // 20, 1)) if speed else CHUNK):
        if limit and passed + len(data) > limit:
            raise ConnectionResetError("the fault's limit")
        sink.write(data)
        await sink.drain()
        passed += len(data)
        if speed:
            await asyncio.sleep(len(data) / speed)
    with contextlib.suppress(OSError):
        sink.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST instead of FIN, as a host does that lost it."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()

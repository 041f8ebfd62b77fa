"""Headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One tab."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self._number = 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride", width=1360, height=860, deviceScaleFactor=1, mobile=False
        )

    def call(self, method: str, **given: Any) -> Any:
        """One command; events that come meanwhile are kept."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": given, **session}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer and self._session:
                self.events.append(answer)

    def open(self, address: str) -> None:
        """Go there and wait until the page's script has run."""
        self.call("Page.navigate", url=address)
        self.until("document.documentElement?.dataset.ready === '1'")

    def value(self, expression: str) -> Any:
        """What an expression is on the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait, in the page, until an expression is true."""
        for _ in range(300):
            wait = "new Promise((done) => setTimeout(done, 50))"
            if self.value(
                f"(async () => {{ if ({expression}) return true; await {wait}; return false; }})()"
            ):
                return
        raise AssertionError(f"never true: {expression}")

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a hand does, once it lies still."""
        self.until(f"!!document.querySelector({json.dumps(selector)})")
        x, y = self.value(
            f"(async () => {{ const e = document.querySelector({json.dumps(selector)});"
            " const frame = () => new Promise((done) => requestAnimationFrame(done));"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " for (let last = ''; ;) { await frame(); const b = e.getBoundingClientRect();"
            " const place = [b.x + b.width / 2, b.y + b.height / 2];"
            " if (String(place) === last) return place; last = String(place); } })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            codes = {
                "Enter": 13,
                "Tab": 9,
                "ArrowDown": 40,
                "ArrowUp": 38,
                "ArrowLeft": 37,
                "ArrowRight": 39,
                "End": 35,
            }
            text = {"text": "\r"} if key == "Enter" else {}
            for kind in ("keyDown", "keyUp"):
                given = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], **text}
                self.call("Input.dispatchKeyEvent", type=kind, **given)

    def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.call("Input.insertText", text=text)

    def text(self, selector: str) -> str:
        """The visible text of an element."""
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return int(self.value(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def dark(self, on: bool = True) -> None:
        """Prefer dark colours, or light ones."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def picture(self, path: Path) -> None:
        """A screenshot."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[str]:
        """Errors of scripts and of the content security policy."""
        found = [e["params"]["entry"]["text"] for e in self.events if e["method"] == "Log.entryAdded"]
        return found + [str(e["params"]) for e in self.events if e["method"] == "Runtime.exceptionThrown"]


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """While inside: a browser of its own, with nothing from anywhere."""
    assert CHROMIUM is not None
    words = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
        f"--user-data-dir={folder}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        match = next(found for line in lines if (found := re.search(r"listening on (ws://\S+)", line)))
        yield Browser(match[1])
    finally:
        process.terminate()
        process.wait(30)

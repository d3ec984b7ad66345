"""A headless Chromium, driven over WebDriver's plain HTTP, so that no package is needed for it."""

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resnet_lab.report.page.live import _Runs, _Server

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "no browser: apt-get install chromium chromium-driver"
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]


class Browser:
    """One tab."""

    def __init__(self, driver: str) -> None:
        self._driver, self._width = driver, 0
        wanted = {
            "goog:chromeOptions": {"binary": CHROMIUM, "args": OPTIONS},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def open(self, url: str) -> None:
        self._tab("/url", {"url": url})

    def look(self, width: int, height: int = 900, *, dark: bool = False, paper: bool = False) -> None:
        """The size of the window, and the colours that the system prefers; `paper`: as it is printed."""
        self._cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        colours = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._cdp("Emulation.setEmulatedMedia", media="print" if paper else "", features=[colours])
        if self._width != width:
            self._width = width
            time.sleep(0.3)  # the page draws anew when its width has settled

    def js(self, script: str, *arguments: Any) -> Any:
        """What the body of a function returns."""
        return self._tab("/execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """By the pointer, where the element is."""
        self._do(selector, "click", {})

    def type(self, selector: str, text: str) -> None:
        self._do(selector, "value", {"text": text})

    def _do(self, selector: str, what: str, body: dict[str, Any]) -> None:
        """A page that is live may draw an element anew between the search for it and the act."""
        for last in (False, False, True):
            found = self._tab("/element", {"using": "css selector", "value": selector})
            try:
                self._tab(f"/element/{next(iter(found.values()))}/{what}", body)
                return
            except RuntimeError as error:
                if last or "stale element" not in str(error):
                    raise

    def picture(self, path: Path) -> None:
        """The whole page, beyond the window."""
        told = self._cdp("Page.captureScreenshot", captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(told["data"]))

    def complaints(self) -> list[str]:
        """What the console has said since the last call."""
        return [each["message"] for each in self._tab("/se/log", {"type": "browser"})]

    def close(self) -> None:
        self._ask("DELETE", f"/session/{self._session}")

    def _cdp(self, command: str, **arguments: Any) -> Any:
        return self._tab("/goog/cdp/execute", {"cmd": command, "params": arguments})

    def _tab(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("POST", f"/session/{self._session}{path}", body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._driver}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of one's own, gone with all its processes afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        tab = _first_tab(f"http://127.0.0.1:{port}")
        try:
            yield tab
        finally:
            tab.close()
    finally:
        driver.terminate()
        driver.wait(10)


def _first_tab(driver: str) -> Browser:
    deadline = time.monotonic() + 30
    while True:
        try:
            return Browser(driver)
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of the page of the runs below a folder, as ``--serve`` shows it."""
    server = _Server(0, _Runs([folder], ()))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Serve the page of a running sweep on this machine alone; it asks for what is new. Standard library only."""

import hashlib
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from resnet_lab.errors import UserError, printable
from resnet_lab.report.collect import to_stderr
from resnet_lab.report.page.html import embedded, gathered_data, page

LOOPBACK = "127.0.0.1"
FRESH = 2.0  # seconds for which what was read is new enough, and
SHARE = 5  # times as long as reading it took, so that a sweep of many runs does not keep a core busy
PATIENCE = 10  # seconds for a client that says nothing


class _Runs:
    """Reads the folders again when it is asked for their data and what it has is old."""

    def __init__(self, folders: Sequence[Path], where: Sequence[str]) -> None:
        self._folders, self._where = folders, where
        self._warned: set[str] = set()
        self._lock = threading.Lock()
        self._until = 0.0
        self._data = gathered_data(folders, where, self._warn)

    def data(self) -> dict[str, object]:
        with self._lock:
            if time.monotonic() >= self._until:
                began = time.monotonic()
                try:
                    self._data = gathered_data(self._folders, self._where, self._warn)
                except UserError as error:  # the folder has gone: what was known of it stays
                    self._warn(str(error))
                self._until = time.monotonic() + max(FRESH, SHARE * (time.monotonic() - began))
            return self._data

    def _warn(self, line: str) -> None:
        if line not in self._warned:
            self._warned.add(line)
            to_stderr(line)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, runs: _Runs) -> None:
        super().__init__((LOOPBACK, port), _Answer)
        self.runs = runs

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (the library's signature)
        """Say nothing of a client that left, and one line of anything else."""
        if not isinstance(error := sys.exception(), ConnectionError | TimeoutError):
            to_stderr(f"--serve: {type(error).__name__}: {printable(error)}")


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE

    def do_GET(self) -> None:
        # A page from elsewhere that was pointed at this address by its own name must not read it.
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in (LOOPBACK, "localhost"):
            self._send(403, "text/plain", b"this page is for 127.0.0.1 alone\n")
        elif self.path == "/":
            self._send(200, "text/html; charset=utf-8", page(self.server.runs.data(), live=True).encode())
        elif self.path == "/data.json":
            body = embedded(self.server.runs.data()).encode()
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == tag:
                self._send(304, "application/json", b"", tag)
            else:
                self._send(200, "application/json", body, tag)
        else:
            self._send(404, "text/plain", b"there is / and /data.json\n")

    def _send(self, status: int, kind: str, body: bytes, tag: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the terminal is for the address."""


def serve(folders: Sequence[Path], where: Sequence[str] = (), port: int = 0) -> int:
    """Show the page until Ctrl-C and return 0; `port` 0: any that is free. UserError without runs or if it is taken."""
    runs = _Runs(folders, where)
    try:
        server = _Server(port, runs)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "ports go from 0 to 65535"
        raise UserError(f"--serve {port}: {reason}") from None
    with server:
        print(f"http://{LOOPBACK}:{server.server_port}/  (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            print()
    return 0

"""Just enough of W&B's server for a run to be online, to go on where it was, to be refused, and to be left alone."""

import gzip
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef0123456789abcdef01234567"  # of the right shape, and of nobody


@dataclass
class KeptRun:
    """What the server has of a run."""

    rows: list[str] = field(default_factory=list)  # a line of JSON each
    summary: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    project: str = ""
    job_type: str = ""
    exit_code: int | None = None
    told: dict[str, Any] = field(default_factory=dict)  # what else, as GraphQL names it

    @property
    def history(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.rows]


class WandbServer:
    """Keeps every run under its id; `refuse` answers each request with that status from then on.

    Once it is lost, nobody listens at its address.
    """

    def __init__(self) -> None:
        self.runs: dict[str, KeptRun] = {}
        self.refuse: int | None = None
        self.delay = 0.0  # seconds before each answer
        self.stopped = False  # by somebody in the UI
        self.alerts: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.told = self  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def lose(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """To a query of its GraphQL."""
        query, given = request.get("query", ""), request.get("variables") or {}
        project = {"id": "cA==", "name": "resnet-lab", "entity": {"id": "ZQ==", "name": "somebody"}}
        if "RunResumeStatus" in query:
            return {"model": project | {"internalId": "1", "bucket": self._bucket(given["name"])}}
        if "notifyScriptableRunAlert" in query:
            self.alerts.append(given)
            return {"notifyScriptableRunAlert": {"success": True}}
        if "upsertBucket" in query:
            new = given.get("name") not in self.runs
            run = self.runs.setdefault(given.get("name") or "cg==", KeptRun())
            run.name, run.project = given.get("displayName") or run.name, given.get("project") or run.project
            run.job_type = given.get("jobType") or run.job_type
            run.told |= {key: value for key, value in given.items() if value is not None}
            if given.get("config"):
                told = json.loads(given["config"])
                run.config = {key: each["value"] for key, each in told.items() if key != "_wandb"}
            bucket = {"id": "cg==", "name": given.get("name"), "displayName": run.name, "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": new}}
        if "viewer" in query:
            nobody = {"email": "", "username": "somebody", "flags": "{}", "teams": {"edges": []}}
            return {"viewer": {"id": "dQ==", "entity": "somebody"} | nobody}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.address}/put/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": "cg==", "uploadHeaders": [], "files": files}}
        if "createArtifact(" in query:
            given = given.get("input", given)
            self.artifacts.append(given)
            known = {
                "id": "YQ==",
                "state": "COMMITTED",
                "digest": given["digest"],
            }  # so nothing is sent for it
            sequence = {"id": "cw==", "latestArtifact": None}
            return {"createArtifact": {"artifact": known | {"artifactSequence": sequence}}}
        if "upsertView" in query:
            self.views[given.get("id") or f"view{len(self.views)}"] = given
            return {
                "upsertView": {
                    "view": {"id": given.get("id") or "view0", "name": given["name"]},
                    "inserted": True,
                }
            }
        if "allViews" in query:
            found = {each["name"]: (name, each) for name, each in self.views.items()}[given["viewName"]]
            node = {"id": found[0], "displayName": found[1]["displayName"], "spec": found[1]["spec"]}
            return {"project": {"allViews": {"edges": [{"node": node}]}}}
        if "ArtifactType" in query:
            return {"project": None}
        return {}

    def stream(self, run: KeptRun, told: dict[str, Any]) -> None:
        """Lines of a run's files, each file from the offset that is told."""
        files = told.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            run.rows[history["offset"] :] = history["content"]
        if summary := files.get("wandb-summary.json"):
            run.summary = json.loads(summary["content"][-1])
        if told.get("complete"):
            run.exit_code = told.get("exitcode")

    def _bucket(self, name: str) -> dict[str, Any] | None:
        if (run := self.runs.get(name)) is None:
            return None
        return {
            "id": "cg==",
            "name": name,
            "displayName": run.name,
            "summaryMetrics": json.dumps(run.summary),
            "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
            "wandbConfig": json.dumps({"t": 1}),
            "tags": [],
            "logLineCount": 0,
            "eventsLineCount": 0,
            "eventsTail": "[]",
            "historyLineCount": len(run.rows),
            "historyTail": json.dumps(run.rows[-1:]),
        }


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: WandbServer = self.server.told  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        time.sleep(server.delay)
        if server.refuse is not None:
            self._send(server.refuse, {"data": None, "errors": [{"message": "the server says no"}]})
            return
        if self.path.startswith("/put/"):
            server.files[self.path.removeprefix("/put/")] = body
            self._send(200, {})
            return
        try:
            told = json.loads(body)
        except ValueError:
            told = {}
        if self.path.endswith("/file_stream"):
            server.stream(server.runs.setdefault(self.path.split("/")[-2], KeptRun()), told)
            self._send(200, {"stopped": server.stopped})
        else:
            self._send(200, {"data": server.answer(told)})

    do_GET = do_PUT = do_POST

    def _send(self, status: int, content: dict[str, Any]) -> None:
        answer = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: Any) -> None:
        pass

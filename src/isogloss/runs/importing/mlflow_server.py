"""MLflow through its server, by the public REST API 2.0: every point of every metric, page by page."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from isogloss.errors import InputError
from isogloss.runs.importing.logged import LoggedRun, Series, Trouble
from isogloss.runs.importing.mlflow_database import series
from isogloss.runs.importing.mlflow_texts import NAME_TAG, STATUS, deleted, settings
from isogloss.runs.importing.source_parts import library

# The most that the server gives at once.
_PAGE, _RUNS_PAGE = 25_000, 1_000
_TIMEOUT = (10, 120)
# Metrics asked for at a time: a server works in several processes, and is what one waits for.
_AT_ONCE = 4
_API = "/api/2.0/mlflow/"


@dataclass
class MlflowServer:
    """`http://host:5000`. Name and password come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, a token
    from MLFLOW_TRACKING_TOKEN, as for MLflow itself."""

    address: str
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def place(self) -> str:
        """The address without name, password, query and the page of the web interface."""
        parts = urlsplit(self.address)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        return urlunsplit((parts.scheme, f"{host}{port}", parts.path.rstrip("/"), "", ""))

    @property
    def said(self) -> str:
        return f"mlflow: {self.place}"

    def entries(self) -> Iterator[ServerRun]:
        self.troubles.clear()
        line = _Line(self.address, self.place)
        names = {e["experiment_id"]: e["name"] for e in line.pages("experiments/search", "experiments", {})}
        gone: list[str] = []
        ids = sorted(names, key=lambda i: (len(i), i))
        wanted = {"experiment_ids": ids, "run_view_type": "ALL", "order_by": ["attributes.start_time ASC"]}
        for raw in line.pages("runs/search", "runs", wanted, _RUNS_PAGE) if ids else ():
            run = ServerRun(line, raw, names.get(raw["info"]["experiment_id"], ""))
            if raw["info"].get("lifecycle_stage") == "deleted":
                gone.append(run.name)
            else:
                yield run
        self.troubles += deleted(self.place, gone)


@dataclass(frozen=True, eq=False)
class ServerRun:
    line: _Line
    raw: Mapping[str, Any]
    experiment: str

    @property
    def key(self) -> str:
        return self.raw["info"]["run_id"]

    @property
    def name(self) -> str:
        return self.raw["info"].get("run_name") or _pairs(self.raw, "tags").get(NAME_TAG) or self.key

    @property
    def version(self) -> str:
        """Of a running one the server tells the latest points only: it is read whenever it is imported."""
        info = self.raw["info"]
        if info.get("status") in ("RUNNING", "SCHEDULED"):
            return ""
        digest = hashlib.sha256(repr(self.raw.get("data")).encode()).hexdigest()[:16]
        return f"{info.get('status')} {info.get('end_time')} {digest}"

    def read(self) -> LoggedRun:
        names = [point["key"] for point in self.raw.get("data", {}).get("metrics", ())]
        metrics: dict[str, Series] = {}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for rows in pool.map(self._history, names):
                metrics |= series(rows)
        config = settings(_pairs(self.raw, "params"), _pairs(self.raw, "tags"), self.experiment)
        status = STATUS.get(self.raw["info"].get("status", ""), "")
        return LoggedRun(self.key, self.name, status, config, metrics)

    def _history(self, name: str) -> list[tuple[str, float, int, int, bool]]:
        asked = {"run_id": self.key, "metric_key": name}
        found = self.line.pages("metrics/get-history", "metrics", asked, _PAGE)
        return [(name, float(p["value"]), int(p.get("timestamp", 0)), int(p.get("step", 0)), False) for p in found]


def _pairs(raw: Mapping[str, Any], kind: str) -> dict[str, str]:
    return {pair["key"]: pair.get("value", "") for pair in raw.get("data", {}).get(kind, ())}


class _Line:
    """The connection to a server. Errors are InputErrors that say what to do; they never show a password."""

    def __init__(self, address: str, place: str):
        self.place = place
        parts = urlsplit(address)
        requests = library("requests", "an MLflow server")
        self.requests, self.session = requests, requests.Session()
        name = parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME")
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        if name:
            self.session.auth = (name, parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        elif token:
            self.session.headers["Authorization"] = f"Bearer {token}"
        if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").casefold() in ("true", "1"):
            self.session.verify = False
        elif bundle := os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
            self.session.verify = bundle

    def pages(self, call: str, what: str, body: Mapping[str, Any], size: int = 1000) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._ask(call, {**body, "max_results": size, **({"page_token": token} if token else {})})
            yield from page.get(what, ())
            token = page.get("next_page_token", "")
            if not token:
                return

    def _ask(self, call: str, body: Mapping[str, Any]) -> dict[str, Any]:
        url = f"{self.place}{_API}{call}"
        requests = self.requests
        try:
            if call.endswith("/search"):
                answer = self.session.post(url, json=body, timeout=_TIMEOUT)
            else:
                answer = self.session.get(url, params=body, timeout=_TIMEOUT)
        except requests.exceptions.SSLError:
            hint = "Set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of its authority."
            raise InputError("its certificate is not trusted", where=self.place, hint=hint) from None
        except requests.exceptions.Timeout:
            hint = "Import again: what was read is kept."
            raise InputError("the MLflow server does not answer", where=self.place, hint=hint) from None
        except requests.exceptions.RequestException:
            hint = "Is it running, and are host and port right? On its machine, the database can be read instead."
            raise InputError("no MLflow server can be reached", where=self.place, hint=hint) from None
        if answer.status_code in (401, 403):
            hint = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            raise InputError(f"the MLflow server asks for a login ({answer.status_code})", where=self.place, hint=hint)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not answer.ok or not isinstance(found, dict):
            said = str(found.get("message", ""))[:160] if isinstance(found, dict) else ""
            what = f"the server answers {answer.status_code} to {call}{': ' if said else ''}{said}"
            raise InputError(what, where=self.place, hint="Is it an MLflow server?")
        return found

"""MLflow's own REST server, in a process of its own, on a port that stays the same when it is stopped and started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

_CHILD = """
import logging, sys
from werkzeug.serving import make_server
from mlflow.server import app
logging.getLogger("werkzeug").setLevel(logging.ERROR)
make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True).serve_forever()
"""


def lacking() -> str | None:
    """Why there can be no server here; None if there can."""
    import importlib.util

    missing = [name for name in ("mlflow", "flask", "flask_cors") if importlib.util.find_spec(name) is None]
    return f"{', '.join(missing)} not installed; run: pip install 'panic-assets[dev,studies]'" if missing else None


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class MlflowServer:
    """MLflow over a database in ``folder``. It can be stopped and started again; the first start makes the database.

    The same database is a local store at ``local_uri``, without the seconds that making one costs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.database = folder / "mlflow.db"
        self.local_uri = f"sqlite:///{self.database}"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, seconds: float = 60.0) -> None:
        artifacts = (self.folder / "artifacts").as_uri()
        environment = os.environ | {
            "_MLFLOW_SERVER_FILE_STORE": self.local_uri,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        log = (self.folder / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(self.port)], env=environment, stdout=log, stderr=log
            )
        until = time.monotonic() + seconds
        while not self._answers():
            assert self.runs, (self.folder / "server.log").read_text()[-2000:]
            assert time.monotonic() < until, "MLflow does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

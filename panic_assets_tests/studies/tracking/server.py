"""MLflow's own REST server, in a process of its own, on a port that stays the same when it is stopped and started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

# A process that loads everything once, which takes seconds; for each line that it reads, a child of it is the server
# until it is killed.
_SERVERS = """
import logging, os, sys
from werkzeug.serving import make_server
from mlflow.server import app
logging.getLogger("werkzeug").setLevel(logging.ERROR)
for _ in sys.stdin:
    child = os.fork()
    if not child:
        make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True).serve_forever()
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
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
    """MLflow over a database in ``folder``. It can be stopped and started again.

    The same database is a local store at ``local_uri``, without the seconds that making one costs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.database = folder / "mlflow.db"
        self.local_uri = f"sqlite:///{self.database}"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._driver: subprocess.Popen[str] | None = None
        self._child: int | None = None

    @property
    def runs(self) -> bool:
        return self._child is not None

    def start(self, seconds: float = 60.0) -> None:
        self._driver = self._driver or self._loaded()
        assert self._driver.stdin is not None
        self._driver.stdin.write("go\n")
        self._driver.stdin.flush()
        self._child = self._told()
        until = time.monotonic() + seconds
        while not self._answers():
            assert time.monotonic() < until, f"MLflow does not answer:\n{self._log.read_text()[-2000:]}"
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, in the middle of whatever it does."""
        child, self._child = self._child, None
        if child is not None:
            os.kill(child, signal.SIGKILL)
            self._told()

    def close(self) -> None:
        """For good."""
        self.stop()
        if self._driver is not None:
            self._driver.communicate(timeout=30)

    def _loaded(self) -> subprocess.Popen[str]:
        environment = os.environ | {
            "_MLFLOW_SERVER_FILE_STORE": self.local_uri,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": (self.folder / "artifacts").as_uri(),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command = [sys.executable, "-c", _SERVERS, str(self.port)]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _told(self) -> int:
        """What the driver says: of a server its process, then how it ended."""
        assert self._driver is not None
        assert self._driver.stdout is not None
        line = self._driver.stdout.readline()
        assert line, self._log.read_text()[-2000:]
        return int(line)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

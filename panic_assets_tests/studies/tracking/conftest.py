"""One MLflow for all tests of a process: its first start costs seconds. Each test has a study of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from panic_assets.studies.tracking import Tracking
from panic_assets_tests.studies.tracking.server import MlflowServer, lacking


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    if reason := lacking():
        pytest.skip(reason)
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    Tracking(server.local_uri).experiment("first")  # makes the database, for which no request has the patience
    yield server
    server.close()


@pytest.fixture
def mlflow(_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """MLflow's REST server. It runs when a test begins; a test may stop it."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # of a busy machine that tests; nothing here hangs
    if not _server.runs:
        _server.start()
    return _server


@pytest.fixture
def tracking(mlflow: MlflowServer) -> Tracking:
    return Tracking(mlflow.uri)


@pytest.fixture
def study(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder

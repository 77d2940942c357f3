"""A tracking store of MLflow, local or on a server, as studies use it.

Here belongs each call of MLflow's client, with what keeps it from hanging; what is to be in a run is in ``contents``.
All calls may be repeated: what is there already stays as it is.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from panic_assets import paths
from panic_assets.studies.tracking import contents
from panic_assets.studies.tracking.contents import Contents
from panic_assets.studies.tracking.errors import TrackingError, TrackingRefused
from panic_assets.studies.tracking.histories import MOST_RUNS, Measured, histories

#: The tracking URI of MLflow, where it is not the local store.
VARIABLE = "PANIC_MLFLOW_URL"
# A call that fails is made again by whoever called, later: MLflow's own patience would be that of the training, too.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_MOST_MEASURED, _MOST_TEXTS, _PAGE = 1000, 100, 1000
_QUOTED = 500


def default_uri() -> str:
    """The tracking URI: ``$PANIC_MLFLOW_URL``, or the local store under the data directory."""
    return os.environ.get(VARIABLE, "").strip() or f"sqlite:///{paths.mlflow_dir() / 'mlflow.db'}"


@dataclass(frozen=True)
class FoundRun:
    """A run that MLflow has. ``metrics`` are the names of its measurements."""

    run_id: str
    status: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: frozenset[str]
    started_at: int

    @property
    def trial_id(self) -> str | None:
        """The trial that it logs."""
        return self.tags.get(contents.TRIAL)


class Tracking:
    """MLflow's store at a tracking URI, None for the usual one. Nothing is asked before the first call.

    All calls raise TrackingError where MLflow does not answer or refuses.
    """

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri or default_uri()
        self._experiments: dict[str, str] = {}

    def experiment(self, study: str) -> str:
        """Id of a study's experiment; it is made if need be."""
        if study not in self._experiments:
            with self._told():
                self._experiments[study] = self._find_or_make(f"panic/{study}")
        return self._experiments[study]

    def runs(self, study: str, tag: str | None = None, value: str = "") -> list[FoundRun]:
        """The study's runs, oldest first; only those whose ``tag`` is ``value`` if a tag is given."""
        experiment = self.experiment(study)
        wanted = f"tags.`{tag}` = '{value}'" if tag else ""
        found: list[FoundRun] = []
        token = None
        with self._told():
            while True:
                page = self._client.search_runs(
                    [experiment], wanted, max_results=_PAGE, order_by=["attributes.start_time ASC"], page_token=token
                )
                found += [_found(run) for run in page]
                token = page.token
                if not token:
                    return found

    def run(self, run_id: str) -> FoundRun | None:
        """A run by its id; None if there is none or it was deleted."""
        from mlflow.exceptions import MlflowException

        with self._told():
            try:
                run = self._client.get_run(run_id)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        return _found(run) if run.info.lifecycle_stage == "active" else None

    def begin(self, study: str, content: Contents, name: str, at: int | None = None) -> str:
        """Id of the run of a trial: the oldest that there is, or a new one that began ``at``."""
        found = self.runs(study, contents.TRIAL, content.tags[contents.TRIAL])
        if found:
            run = found[0]
            if run.status != "RUNNING":
                with self._told():
                    self._client.update_run(run.run_id, status="RUNNING")
            tags = {tag: value for tag, value in content.tags.items() if run.tags.get(tag) != value}
            self.add_texts(run.run_id, _lacking(content.params, run.params), tags)
            return run.run_id
        return self.create(study, content, name, at).run_id

    def create(self, study: str, content: Contents, name: str, at: int | None = None) -> FoundRun:
        """A new run that began ``at``, in milliseconds since 1970, or now."""
        with self._told():
            run = self._client.create_run(self.experiment(study), start_time=at, tags=content.tags, run_name=name)
        found = _found(run)
        self.add_texts(found.run_id, content.params, {})
        return replace(found, params=content.params)

    def parent(self, study: str, model_run_id: str) -> str:
        """Id of the run in which those of a model run's trials are nested; it is made if need be."""
        content = contents.of_model_run(study, model_run_id)
        found = self.runs(study, contents.PARENT_OF, model_run_id)
        if found:
            return found[0].run_id
        return self.create(study, content, f"{study} {model_run_id}").run_id

    def add_texts(self, run_id: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log parameters that a run lacks, and set tags."""
        from mlflow.entities import Param, RunTag

        with self._told():
            for some in _parts([Param(key, value) for key, value in params.items()], _MOST_TEXTS):
                self._client.log_batch(run_id, params=some)
            for some in _parts([RunTag(key, value) for key, value in tags.items()], _MOST_TEXTS):
                self._client.log_batch(run_id, tags=some)

    def add_metrics(self, run_id: str, measured: Sequence[Measured]) -> None:
        """Log measurements."""
        from mlflow.entities import Metric

        with self._told():
            for some in _parts([Metric(one.name, one.value, one.at, one.step) for one in measured], _MOST_MEASURED):
                self._client.log_batch(run_id, metrics=some)

    def histories(self, run_ids: Sequence[str], name: str) -> dict[str, list[Measured]]:
        """All that was ever logged of a measurement, by run, at each step in the order of logging."""
        found: dict[str, list[Measured]] = {}
        with self._told():
            for some in _parts(run_ids, MOST_RUNS):
                found |= histories(self._client, some, name)
        return found

    def finish(self, run_id: str, status: str, at: int | None = None) -> None:
        """Set a run's status; one that is over has ended ``at``, in milliseconds since 1970, or now."""
        with self._told():
            if status in ("RUNNING", "SCHEDULED"):
                self._client.update_run(run_id, status=status)
            else:
                self._client.set_terminated(run_id, status, at)

    def delete(self, run_id: str) -> None:
        """Delete a run. MLflow keeps it where deleted runs are kept, so that it can be restored."""
        with self._told():
            self._client.delete_run(run_id)

    def add_artifact(self, run_id: str, path: Path) -> None:
        """Copy a file to the artifacts of a run, under its own name."""
        with self._told():
            self._client.log_artifact(run_id, str(path))

    def artifacts(self, run_id: str) -> dict[str, int]:
        """The files of a run and their bytes, without those in folders."""
        with self._told():
            return {one.path: one.file_size or 0 for one in self._client.list_artifacts(run_id) if not one.is_dir}

    def checksum(self, run_id: str, name: str) -> str:
        """The SHA-256 of a file of a run, in hexadecimal."""
        with self._told(), tempfile.TemporaryDirectory() as folder:
            content = Path(self._client.download_artifacts(run_id, name, folder)).read_bytes()
        return hashlib.sha256(content).hexdigest()

    @cached_property
    def _client(self) -> Any:
        for variable, value in (_PATIENCE | _QUIET).items():
            os.environ.setdefault(variable, value)
        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise TrackingError(
                f"MLflow is not installed ({error}). Run: pip install 'panic-assets[studies]'"
            ) from error
        for talker in ("alembic", "mlflow.store.db.utils"):  # each of a hundred migrations would be told
            logging.getLogger(talker).setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=self.uri)

    def _find_or_make(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        for _ in range(2):
            found = self._client.get_experiment_by_name(name)
            if found is None:
                try:
                    return str(self._client.create_experiment(name, artifact_location=self._artifacts(name)))
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":  # by another process, just now
                        raise
                    continue
            if found.lifecycle_stage != "active":
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        raise TrackingError(f"{self.uri}: experiment {name} is there and is not. Ask MLflow's own log.")

    def _artifacts(self, name: str) -> str | None:
        """Where the files of a local store lie: beside its database. A server decides that itself."""
        if not self.uri.startswith("sqlite:///"):
            return None
        return (Path(self.uri.removeprefix("sqlite:///")).parent / "artifacts" / name).absolute().as_uri()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except TrackingError:
            raise
        except Exception as error:  # MLflow raises its own errors, those of requests, of SQLAlchemy and of files
            words = f"{type(error).__name__}: {str(error)[:_QUOTED]}"
            if getattr(error, "error_code", None) == "INVALID_PARAMETER_VALUE":
                raise TrackingRefused(f"MLflow at {self.uri} refuses a value ({words}).") from error
            raise TrackingError(
                f"MLflow at {self.uri} fails ({words}). Is it running? ${VARIABLE} names another one."
            ) from error


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def measured(values: Mapping[str, float], step: int, at: Callable[[], int] = now_ms) -> list[Measured]:
    """Measurements that are made now."""
    moment = at()
    return [Measured(contents.safe(name), float(value), step, moment) for name, value in values.items()]


def _found(run: Any) -> FoundRun:
    return FoundRun(
        run.info.run_id,
        run.info.status,
        dict(run.data.params),
        dict(run.data.tags),
        frozenset(run.data.metrics),
        run.info.start_time or 0,
    )


def _lacking(wanted: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in wanted.items() if key not in there}


def _parts(values: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for first in range(0, len(values), most):
        yield values[first : first + most]

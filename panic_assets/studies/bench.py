"""Where a study works: its places under a data directory, and what it needs of the platform there.

Here belongs opening things: the event store, the client that talks to it, MLflow's log. What they are used for is in
``runner`` and ``stage``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from panic_assets.lake import Lake
from panic_assets.studies.spec import StudyFiles
from panic_assets.studies.trial_files import TRIALS, TrialFiles

if TYPE_CHECKING:
    from panic_assets.studies.client import Client
    from panic_assets.studies.events.store import EventStore
    from panic_assets.studies.spec import StudySpec
    from panic_assets.studies.tracking.mlflow_log import MlflowLog

SOURCE = "panic-assets"
_OUTBOX = "outbox.db"


@dataclass(frozen=True)
class Bench:
    """The data directory ``root`` as studies see it. Nothing is opened or made before it is asked for."""

    root: Path

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(self.root / "lake")

    @property
    def files(self) -> StudyFiles:
        """The study files."""
        return StudyFiles(self.root / "studies")

    def folder(self, study: str) -> Path:
        """Where a study keeps its state."""
        return self.root / "training" / study

    def trials(self, study: str) -> TrialFiles:
        """The trials of a study that are over."""
        return TrialFiles(self.folder(study) / TRIALS)

    def report(self, study: str) -> Path:
        """The page that is made of a study."""
        return self.root / "reports" / f"study-{study}.html"

    @property
    def mlflow_uri(self) -> str:
        """Where MLflow is: ``$PANIC_MLFLOW_URL``, else a database in the data directory."""
        from panic_assets.studies.tracking.store import VARIABLE

        return os.environ.get(VARIABLE, "").strip() or f"sqlite:///{self.root / 'mlflow' / 'mlflow.db'}"

    @contextmanager
    def store(self) -> Iterator[EventStore]:
        """The event store: that of ``$PANIC_EVENTS_URL``, else a database in the data directory.

        Raises:
            LiveStoreError: the database fails, or is of a newer version.
        """
        from panic_assets.studies.events.store import URL_VARIABLE, open_store

        place = self.root / "training" / "events.db"
        place.parent.mkdir(parents=True, exist_ok=True)
        store = open_store(os.environ.get(URL_VARIABLE) or f"sqlite:///{place}")
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def client(self, study: str, store: EventStore) -> Iterator[Client]:
        """A client of the store. What an earlier one left in its outbox is delivered first."""
        from panic_assets.studies.client import Client, LocalTransport

        outbox = self.folder(study) / _OUTBOX
        with Client(LocalTransport(store.deliver), outbox, source=SOURCE, study=study) as client:
            yield client

    def log(self, spec: StudySpec, model_run_id: str) -> MlflowLog | None:
        """MLflow's log of a model run; None if the study wants none."""
        from panic_assets.studies.tracking.links import platform_pages
        from panic_assets.studies.tracking.mlflow_log import MlflowLog

        if not spec.tracking.mlflow:
            return None
        return MlflowLog(self.mlflow_uri, spec.name, model_run_id, platform=platform_pages())

"""What a study tells the platform and MLflow of itself, trial by trial.

Here belongs which call is made when. What is told of a trial that is over bears ids made of its record, so that telling
it again, after a kill or to a platform that lost its store, counts once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from panic_assets.studies.records import Epoch, Trial, content_id
from panic_assets.studies.trial_files import TrialRecord

if TYPE_CHECKING:
    from panic_assets.studies.client import Client

CHECKPOINT_TYPE = "application/vnd.safetensors"
#: Spectral norms of layers are metrics of this kind, by the layer's name.
SIGMA = "sigma/"


def epoch_metrics(epoch: Epoch) -> dict[str, float]:
    """All numbers of an epoch under the names that platforms show: its metrics, and each layer's sigma."""
    return epoch.metrics | {f"{SIGMA}{layer}": value for layer, value in epoch.sigmas.items()}


class Teller:
    """Tells the platform of the trials of one model run. ``folder``: where checkpoints lie, as seen from the data."""

    def __init__(self, client: Client, model_run_id: str, folder: str) -> None:
        self._client, self.model_run_id, self._folder = client, model_run_id, folder

    def run_started(
        self, requested: int, mlflow_experiment_id: str | None, spec: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> None:
        """The model run begins, or goes on. ``facts``: what is to be known of its data."""
        self._client.run_started(
            self.model_run_id,
            requested,
            mlflow_experiment_id=mlflow_experiment_id,
            spec=spec,
            metadata=facts,
        )

    def run_stopped(self, state: str, completed: int, best: tuple[str, float] | None) -> None:
        """The model run is over. ``best``: trial and value."""
        self._client.run_stopped(
            self.model_run_id,
            state,
            completed,
            best_trial_id=best[0] if best else None,
            best_metric=best[1] if best else None,
        )

    def trial_started(
        self, trial: Trial, mlflow_run_id: str | None, model_run_id: str | None = None, event_id: str | None = None
    ) -> None:
        """A trial begins. ``model_run_id``: the run that it was trained in, where that was an earlier one."""
        self._client.trial_started(
            model_run_id or self.model_run_id,
            trial.trial_id,
            trial.hyperparameters.spectral_norm,
            parameters=asdict(trial.hyperparameters),
            mode=trial.mode,
            arm=trial.arm,
            pair=trial.pair,
            seed=trial.seed,
            mlflow_run_id=mlflow_run_id,
            event_id=event_id,
        )

    def epoch(self, trial: Trial, epoch: Epoch, event_id: str | None = None) -> None:
        """What an epoch came to."""
        self._client.metrics(trial.trial_id, epoch.number, epoch_metrics(epoch), event_id=event_id)

    def trial_ended(self, record: TrialRecord) -> None:
        """How a trial ended, and its checkpoint."""
        trial_id, duration = record.trial.trial_id, round(1000 * record.seconds)
        reason, event_id = record.reason or record.state, _event_id(record, "end")
        uri = f"{self._folder}/{record.checkpoint.name}" if record.checkpoint else None
        if record.checkpoint and uri:
            self._client.artifact_created(
                record.model_run_id,
                "checkpoint",
                uri,
                checksum=record.checkpoint.checksum,
                size=record.checkpoint.bytes,
                media_type=CHECKPOINT_TYPE,
                trial_id=trial_id,
                event_id=_event_id(record, "checkpoint"),
            )
        if record.state == "completed":
            self._client.trial_completed(
                trial_id,
                record.all_metrics,
                mlflow_run_id=record.mlflow_run_id,
                artifact_uri=uri,
                duration_ms=duration,
                warnings=record.warnings,
                event_id=event_id,
            )
        elif record.state == "cancelled":
            self._client.trial_cancelled(
                trial_id, reason, metrics=record.all_metrics, duration_ms=duration, event_id=event_id
            )
        else:
            self._client.trial_failed(
                trial_id,
                reason,
                error_type=record.error_type,
                metrics=record.all_metrics,
                duration_ms=duration,
                event_id=event_id,
            )

    def again(self, record: TrialRecord) -> None:
        """All of a trial that is over, from its record."""
        self.trial_started(record.trial, record.mlflow_run_id, record.model_run_id, _event_id(record, "start"))
        for epoch in record.epochs:
            self.epoch(record.trial, epoch, _event_id(record, f"epoch.{epoch.number}"))
        self.trial_ended(record)


def _event_id(record: TrialRecord, what: str) -> str:
    """The same whenever this record is told; another one after the trial was deleted and trained again."""
    return f"{record.trial.trial_id}.{content_id(record.finished_at)[:8]}.{what}"

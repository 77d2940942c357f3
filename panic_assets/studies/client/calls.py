"""What a trainer can tell: the platform's events as calls.

Here belong the names of events and of what they carry, and nothing of how they travel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from panic_assets.studies.client.errors import ClientError


class Calls(ABC):
    """Events by name. Each call gives the id of its event; ``more`` are further fields, as well as ``event_id``."""

    def __init__(self) -> None:
        self._trials: dict[str, dict[str, Any]] = {}

    @abstractmethod
    def emit(self, name: str, *, event_id: str | None = None, correlation_id: str | None = None, **payload: Any) -> str:
        """Tell of an event; its id."""

    def run_started(
        self,
        model_run_id: str,
        requested_trials: int,
        *,
        search_space_version: int = 1,
        mlflow_experiment_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """A run of trials begins; so many are asked for."""
        return self.emit(
            "ml.run.start",
            model_run_id=model_run_id,
            requested_trials=requested_trials,
            search_space_version=search_space_version,
            mlflow_experiment_id=mlflow_experiment_id,
            metadata=metadata,
            **more,
        )

    def trial_started(
        self,
        model_run_id: str,
        trial_id: str,
        spectral_norm: bool,
        *,
        parameters: Mapping[str, Any] | None = None,
        mode: str | None = None,
        arm: str | None = None,
        pair: int | None = None,
        seed: int | None = None,
        mlflow_run_id: str | None = None,
        **more: Any,
    ) -> str:
        """A trial begins. Later calls about it need neither its run nor its flag again."""
        self._trials[trial_id] = {"model_run_id": model_run_id, "spectral_norm": spectral_norm}
        return self.emit(
            "ml.trial.start",
            **self._trials[trial_id],
            trial_id=trial_id,
            parameters=parameters,
            mode=mode,
            arm=arm,
            pair=pair,
            seed=seed,
            mlflow_run_id=mlflow_run_id,
            **more,
        )

    def metrics(self, trial_id: str, step: int, values: Mapping[str, float], **more: Any) -> str:
        """Measurements of one step (epoch) of a trial. NaN and infinite values are told as such."""
        about = self._about(trial_id, more)
        return self.emit("ml.run.metric", **about, trial_id=trial_id, step=step, metrics=values, **more)

    def trial_completed(
        self,
        trial_id: str,
        metrics: Mapping[str, float],
        *,
        parameters: Mapping[str, Any] | None = None,
        mlflow_run_id: str | None = None,
        artifact_uri: str | None = None,
        duration_ms: int | None = None,
        rank: int | None = None,
        warnings: Sequence[str] | None = None,
        **more: Any,
    ) -> str:
        """A trial ended well, with these final measurements."""
        return self.emit(
            "ml.trial.complete",
            **self._about(trial_id, more),
            trial_id=trial_id,
            metrics=metrics,
            parameters=parameters,
            mlflow_run_id=mlflow_run_id,
            artifact_uri=artifact_uri,
            duration_ms=duration_ms,
            rank=rank,
            warnings=warnings,
            **more,
        )

    def trial_failed(
        self,
        trial_id: str,
        error_message: str,
        *,
        error_type: str | None = None,
        metrics: Mapping[str, float] | None = None,
        duration_ms: int | None = None,
        **more: Any,
    ) -> str:
        """A trial failed. ``error_type`` is nan_loss, OOM, timeout or the trainer's own."""
        return self.emit(
            "ml.trial.failed",
            **self._about(trial_id, more),
            trial_id=trial_id,
            error_message=error_message,
            error_type=error_type,
            metrics=metrics,
            duration_ms=duration_ms,
            **more,
        )

    def trial_cancelled(
        self,
        trial_id: str,
        reason: str,
        *,
        metrics: Mapping[str, float] | None = None,
        duration_ms: int | None = None,
        **more: Any,
    ) -> str:
        """A trial was given up on purpose: pruned, or its study was stopped."""
        return self.emit(
            "ml.trial.cancelled",
            **self._about(trial_id, more),
            trial_id=trial_id,
            reason=reason,
            metrics=metrics,
            duration_ms=duration_ms,
            **more,
        )

    def artifact_created(
        self,
        model_run_id: str,
        kind: str,
        uri: str,
        *,
        checksum: str,
        size: int,
        media_type: str,
        trial_id: str | None = None,
        **more: Any,
    ) -> str:
        """A file was made. ``checksum`` is the SHA-256 of its content in hexadecimal, ``size`` its bytes."""
        return self.emit(
            "ml.artifact.created",
            model_run_id=model_run_id,
            trial_id=trial_id,
            kind=kind,
            uri=uri,
            checksum=checksum,
            bytes=size,
            media_type=media_type,
            **more,
        )

    def run_stopped(
        self,
        model_run_id: str,
        state: str,
        completed_trials: int,
        *,
        best_metric: float | None = None,
        best_trial_id: str | None = None,
        error_message: str | None = None,
        **more: Any,
    ) -> str:
        """A run of trials ended: completed, failed or cancelled."""
        return self.emit(
            "ml.run.stop",
            model_run_id=model_run_id,
            state=state,
            completed_trials=completed_trials,
            best_metric=best_metric,
            best_trial_id=best_trial_id,
            error_message=error_message,
            **more,
        )

    def _about(self, trial_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """Run and flag of a trial, as given now or when it started."""
        known = self._trials.get(trial_id, {})
        about = {key: given.pop(key, known.get(key)) for key in ("model_run_id", "spectral_norm")}
        missing = [key for key, value in about.items() if value is None]
        if missing:
            raise ClientError(
                f"trial {trial_id}: {' and '.join(missing)} unknown to this client. Call trial_started first, or pass "
                "them by name."
            )
        return about

"""One trial, from its beginning to its file: trained, measured, told of.

Here belongs what becomes of a trial whatever happens in it. How a model is trained is in ``training``, what is measured
of it in ``measures``; which trial comes next, in ``runner``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from panic_assets.studies.records import Dataset, Epoch, State, Trial, content_id
from panic_assets.studies.telling import Teller, epoch_metrics
from panic_assets.studies.trial_files import Checkpoint, Measurement, TrialFiles, TrialRecord

if TYPE_CHECKING:
    from torch import nn

    from panic_assets.studies.spec import StudySpec
    from panic_assets.studies.tracking.mlflow_log import MlflowLog
    from panic_assets.studies.training.loop import Trained

#: Says of an epoch's metrics, and its place from 0, whether the trial is to be cut short.
IsHopeless = Callable[[dict[str, float], int], bool]
ASKED = "it was asked to stop"
_PRUNED = "pruned: at this epoch it was worse than the median of the trials before it"


class Interrupted(Exception):
    """The study is to stop, in the middle of a trial: that one is begun anew the next time."""


class Trainer:
    """Trains and measures the trials of one study, and writes their files."""

    def __init__(
        self,
        spec: StudySpec,
        data: Dataset,
        files: TrialFiles,
        teller: Teller,
        log: MlflowLog | None,
        should_stop: Callable[[], bool],
    ) -> None:
        self._spec, self._data, self._files, self._teller, self._log = spec, data, files, teller, log
        self._should_stop, self._is_warm = should_stop, False
        self._evaluation_id = content_id(spec.canonical()["evaluation"])

    def train(self, trial: Trial, is_hopeless: IsHopeless | None = None) -> TrialRecord:
        """Train a trial, and write its file whatever becomes of it.

        Raises:
            Interrupted: the study is to stop; nothing was written.
            LakeWriteError: the disk is full or refuses.
        """
        started = datetime.now(UTC)
        mlflow_run_id = self._log.start(trial) if self._log else None
        self._teller.trial_started(trial, mlflow_run_id)
        watch = _Watch(self, trial, is_hopeless)
        trained, error = self._trained(trial, watch)
        record = TrialRecord(
            trial=trial,
            state=trained.state if trained else "failed",
            started_at=started.isoformat(),
            finished_at=datetime.now(UTC).isoformat(),
            seconds=trained.seconds if trained else (datetime.now(UTC) - started).total_seconds(),
            metrics=trained.metrics if trained else {},
            epochs=trained.epochs if trained else tuple(watch.epochs),
            error_type=trained.error_type if trained else type(error).__name__,
            reason=watch.reason or (trained.error if trained else words_of(error)),
            # Asked for again: after an outage a run of MLflow may begin late.
            mlflow_run_id=self._log.run_id(trial.trial_id) if self._log else None,
            model_run_id=self._teller.model_run_id,
        )
        if trained and trained.model is not None and trained.state == "completed":
            record = self._keep(record, trained.model)
        self._files.write(record)
        self._tell(record)
        return record

    def _trained(self, trial: Trial, watch: _Watch) -> tuple[Trained | None, Exception | None]:
        """What training came to; or the error that it ended with, which is the trial's alone."""
        from panic_assets.studies.training.loop import train

        limit = self._spec.budget.seconds_per_trial
        try:
            if not self._is_warm:  # torch's own start would count as the cost of whatever trial comes first
                self._is_warm = True
                train(replace(trial, hyperparameters=replace(trial.hyperparameters, epochs=1)), self._data)
            return train(trial, self._data, watch.on_epoch, watch.should_stop, seconds=limit), None
        except Exception as error:
            if error is watch.error:  # of the platform's side: a full disk, a broken database
                raise
            return None, error

    def is_measured(self, record: TrialRecord) -> bool:
        """Whether it was measured as the study now says; what could not be measured is tried again."""
        measured = record.measured
        return measured is not None and bool(measured.metrics) and measured.evaluation_id == self._evaluation_id

    def measure(self, record: TrialRecord) -> TrialRecord:
        """Measure a completed trial from its checkpoint, and write that to its file; without one, train it again.

        Raises:
            Interrupted: see `train`.
            LakeWriteError: the disk is full or refuses.
        """
        from panic_assets.studies.training.checkpoint import load

        path = self._files.checkpoint(record.trial.trial_id)
        if not path.is_file():
            return self.train(record.trial)
        measured = self._measured(record, load(path)[0])
        self._files.write(measured)
        return measured

    def _keep(self, record: TrialRecord, model: nn.Sequential) -> TrialRecord:
        """Write the checkpoint of a completed trial, and measure it if it is one of a comparison."""
        from panic_assets.studies.training.checkpoint import checksum, load, save

        path = self._files.checkpoint(record.trial.trial_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without times, so that training it again gives the same bytes.
        save(path, model, record.trial, {name: v for name, v in record.metrics.items() if not name.endswith("seconds")})
        digest, size = checksum(path)
        kept = replace(record, checkpoint=Checkpoint(path.name, digest, size))
        # What is measured is what was kept: whoever measures the file again gets the same.
        return self._measured(kept, load(path)[0]) if record.trial.mode == "comparison" else kept

    def _measured(self, record: TrialRecord, model: nn.Sequential) -> TrialRecord:
        from panic_assets.studies.measures.measuring import measure

        try:
            with _one_thread():
                found = measure(model, record.trial, self._data, self._spec.evaluation)
        except Exception as error:  # of whatever kind: what was trained is worth keeping without it
            warning = f"could not be measured: {words_of(error)}"
            return replace(record, measured=Measurement(self._evaluation_id, {}), warnings=(warning,))
        measured = Measurement(
            self._evaluation_id, found.metrics, tuple(found.lipschitz_rows()), tuple(found.robustness_rows())
        )
        return replace(record, measured=measured, warnings=())

    def _tell(self, record: TrialRecord) -> None:
        self._teller.trial_ended(record)
        if self._log:
            trial_id = record.trial.trial_id
            if record.checkpoint:
                self._log.artifact(trial_id, self._files.checkpoint(trial_id))
            self._log.finish(trial_id, record.state, record.all_metrics)

    def heard(self, trial: Trial, epoch: Epoch) -> None:
        """Tell of an epoch."""
        self._teller.epoch(trial, epoch)
        if self._log:
            self._log.metrics(trial.trial_id, epoch.number, epoch_metrics(epoch))

    @property
    def is_to_stop(self) -> bool:
        """Whether somebody wants the study to stop."""
        return self._should_stop()


class _Watch:
    """What is done at each epoch of a trial. ``error`` is what was raised here: no failure of the trial."""

    def __init__(self, trainer: Trainer, trial: Trial, is_hopeless: IsHopeless | None) -> None:
        self._trainer, self._trial, self._is_hopeless = trainer, trial, is_hopeless
        self.epochs: list[Epoch] = []
        self.error: Exception | None = None
        self.reason: str | None = None

    def on_epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        try:
            self._trainer.heard(self._trial, epoch)
        except Exception as error:
            self.error = error
            raise

    def should_stop(self, epoch: Epoch) -> State | None:
        try:
            return self._verdict(epoch)
        except Exception as error:
            self.error = error
            raise

    def _verdict(self, epoch: Epoch) -> State | None:
        if self._trainer.is_to_stop:
            raise Interrupted(ASKED)
        if self._is_hopeless and self._is_hopeless(epoch.metrics, len(self.epochs) - 1):
            self.reason = _PRUNED
            return "cancelled"
        return None


@contextmanager
def _one_thread() -> Iterator[None]:
    """Models are so small that threads of one product mostly wait for one another, most of all on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def words_of(error: Exception | None) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]

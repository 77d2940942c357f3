"""What is kept of each trial in the study's folder: one JSON file beside its checkpoint, written whole when it ends.

Here belongs the form of the file. It is the commit of a trial: a trial with a file is over and is never trained again;
one without starts from its beginning, which gives the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from panic_assets.errors import PanicError
from panic_assets.lake.durable import replace_file
from panic_assets.studies.records import Epoch, Hyperparameters, State, Trial

#: The folder of a study's trials, in that of the study.
TRIALS = "trials"
_FORM = 1
_SUFFIX = ".json"


class DamagedTrial(PanicError):
    """A trial's file can't be understood."""


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights: its name in the folder, the SHA-256 of its content, its bytes."""

    name: str
    checksum: str
    bytes: int


@dataclass(frozen=True)
class Measurement:
    """What was measured of a trained model. ``evaluation_id`` names the settings under which it was.

    ``layers``: rows of table ``lipschitz`` and ``robust``: rows of table ``robustness``, both without study and trial.
    """

    evaluation_id: str
    metrics: dict[str, float]
    layers: tuple[dict[str, Any], ...] = ()
    robust: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class TrialRecord:
    """A trial that is over. Times are ISO 8601 in UTC; ``reason`` says in words why it is not completed."""

    trial: Trial
    state: State
    started_at: str
    finished_at: str
    seconds: float
    metrics: dict[str, float]
    epochs: tuple[Epoch, ...] = ()
    error_type: str | None = None
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    checkpoint: Checkpoint | None = None
    mlflow_run_id: str | None = None
    model_run_id: str = ""
    measured: Measurement | None = None

    @property
    def all_metrics(self) -> dict[str, float]:
        """What training and measuring came to."""
        return self.metrics | (self.measured.metrics if self.measured else {})


class TrialFiles:
    """The trials of one study: ``<trial_id>.json`` and ``<trial_id>.safetensors`` in a folder that need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkpoint(self, trial_id: str) -> Path:
        """Where the weights of a trial lie, or would."""
        return self.folder / f"{trial_id}.safetensors"

    def path(self, trial_id: str) -> Path:
        """Where the record of a trial lies, or would."""
        return self.folder / f"{trial_id}{_SUFFIX}"

    def write(self, record: TrialRecord) -> None:
        """Commit a trial, or what was measured of it later.

        Raises:
            LakeWriteError: the disk is full or refuses; what was there before is whole.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        values = {"form": _FORM} | asdict(record)
        # Python's own words for NaN and infinity: nobody else reads these files.
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        replace_file(self.path(record.trial.trial_id), text.encode())

    def read(self, trial_id: str) -> TrialRecord | None:
        """The record of a trial; None if it is not over.

        Raises:
            DamagedTrial: the file is not one that `write` made.
        """
        path = self.path(trial_id)
        try:
            values = json.loads(path.read_bytes())
            record = _from_json(values)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedTrial(
                f"{path}: can't be read ({error}). Remove it: the trial is then trained again."
            ) from error
        if record.trial.trial_id != trial_id:
            raise DamagedTrial(
                f"{path}: holds the trial {record.trial.trial_id}. Remove it: the trial is then trained again."
            )
        return record

    def all(self) -> Iterator[TrialRecord]:
        """All trials that are over, by their id; of earlier forms of the study, too.

        Raises:
            DamagedTrial: see `read`.
        """
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            record = self.read(path.stem)
            if record is not None:
                yield record


def _from_json(values: dict[str, Any]) -> TrialRecord:
    values = dict(values)
    if values.pop("form") != _FORM:
        raise ValueError("it is of another version")
    trial = dict(values.pop("trial"))
    trial["hyperparameters"] = Hyperparameters(**trial["hyperparameters"])
    checkpoint, found = values.pop("checkpoint"), values.pop("measured")
    if found is not None:
        found = Measurement(**{**found, "layers": tuple(found["layers"]), "robust": tuple(found["robust"])})
    return TrialRecord(
        **{**values, "warnings": tuple(values["warnings"])}
        | {"trial": Trial(**trial), "epochs": tuple(Epoch(**epoch) for epoch in values["epochs"])}
        | {"checkpoint": Checkpoint(**checkpoint) if checkpoint else None, "measured": found}
    )

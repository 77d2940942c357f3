"""Telling the platform which runs in MLflow are its trials', where it did not know.

Here belong the events about it: the platform's rows are written by events alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from panic_assets.studies.client import Client
from panic_assets.studies.events.rows import TrialRow


def tell_links(client: Client, trials: Sequence[TrialRow], links: Mapping[str, str]) -> int:
    """Tell the platform of the runs of trials, as `Reconciled.links` has them; how many they are.

    A trial that is over stays so. One whose end named another run keeps that name.
    """
    told = [row for row in trials if row.trial_id in links]
    for row in told:
        run_id = links[row.trial_id]
        client.trial_started(
            row.model_run_id,
            row.trial_id,
            row.spectral_norm,
            mlflow_run_id=run_id,
            event_id=f"{row.trial_id}.mlflow.{run_id}",
        )
    return len(told)

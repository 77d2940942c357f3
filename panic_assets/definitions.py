"""The one place where everything is put together for Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from panic_assets.defs.analyses import ANALYSIS_ASSETS
from panic_assets.defs.assets import ASSETS
from panic_assets.defs.automation import experiment_files, experiment_job, follow_updates, nightly, nightly_job
from panic_assets.defs.checks import CHECKS, CODEC_CHECKS
from panic_assets.defs.codec import CODEC_ASSETS, codec_job
from panic_assets.defs.failures import failures
from panic_assets.defs.live import LIVE_JOBS, LIVE_SCHEDULES, LIVE_SENSORS
from panic_assets.defs.resources import Laboratory, Models
from panic_assets.defs.studies import STUDY_ASSETS
from panic_assets.defs.study_automation import study_files, study_job
from panic_assets.defs.study_checks import STUDY_CHECKS
from panic_assets.defs.upkeep import UPKEEP_ASSETS


def build_defs(overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions; ``overrides`` replaces resources by name, for tests and other settings."""
    return dg.Definitions(
        assets=[*ASSETS, *ANALYSIS_ASSETS, *CODEC_ASSETS, *STUDY_ASSETS, *UPKEEP_ASSETS],
        asset_checks=[*CHECKS, *CODEC_CHECKS, *STUDY_CHECKS],
        jobs=[experiment_job, codec_job, nightly_job, study_job, *LIVE_JOBS],
        schedules=[nightly, *LIVE_SCHEDULES],
        sensors=[experiment_files, study_files, failures, follow_updates, *LIVE_SENSORS],
        resources={"laboratory": Laboratory(), "models": Models(), **(overrides or {})},
        # One process runs a whole experiment, so that models are loaded once and stay warm from stage to stage.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What ``workspace.yaml`` and the command line load."""
    return build_defs()

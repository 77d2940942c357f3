"""Studies in MLflow beside the platform: logged while they train, made to agree afterwards, linked both ways.

Here belongs all that knows MLflow. The platform's rows are the truth; MLflow is a mirror that may be away at any time.
What needs those rows, ``reconcile`` and ``linking``, is imported by its own name: logging needs none of the platform.
"""

from __future__ import annotations

from panic_assets.studies.tracking.errors import TrackingError
from panic_assets.studies.tracking.links import asset_url, dagster_url, pages_of, run_url, trial_url
from panic_assets.studies.tracking.mlflow_log import LogStatus, MlflowLog
from panic_assets.studies.tracking.store import Tracking, default_uri

__all__ = [
    "LogStatus",
    "MlflowLog",
    "Tracking",
    "TrackingError",
    "asset_url",
    "dagster_url",
    "default_uri",
    "pages_of",
    "run_url",
    "trial_url",
]

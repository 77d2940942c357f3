"""Addresses of pages: a run in MLflow, a trial on the platform, a run or an asset in Dagster.

Here belong addresses alone; nothing is asked whether there is anybody.
"""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode, urlsplit

#: Where MLflow's pages are, if not at the address of the tracking server.
PAGES_VARIABLE = "PANIC_MLFLOW_PAGES"
#: Where `make mlflow` opens them.
LOCAL_PAGES = "http://127.0.0.1:5000"
#: Where people reach the platform's pages.
PLATFORM_VARIABLE = "PANIC_LIVE_PUBLIC_URL"
#: Where `panic serve` opens them.
LOCAL_PLATFORM = "http://127.0.0.1:8080"


def platform_pages() -> str:
    """Where the platform's pages are: ``$PANIC_LIVE_PUBLIC_URL``, or `panic serve` of this machine."""
    return os.environ.get(PLATFORM_VARIABLE, "").strip().rstrip("/") or LOCAL_PLATFORM


def pages_of(uri: str) -> str:
    """Where the pages of a tracking store are: ``$PANIC_MLFLOW_PAGES``, its server, or `make mlflow` of this machine.

    A name and a password in the address of the server are left out.
    """
    if given := os.environ.get(PAGES_VARIABLE, "").strip():
        return given.rstrip("/")
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return LOCAL_PAGES
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def run_url(pages: str, experiment_id: str, run_id: str) -> str:
    """A run's page in MLflow."""
    return f"{pages.rstrip('/')}/#/experiments/{quote(experiment_id, safe='')}/runs/{quote(run_id, safe='')}"


def trial_url(platform: str, study: str, trial_id: str) -> str:
    """A trial's page on the platform."""
    return f"{platform.rstrip('/')}/studies/{quote(study, safe='')}/trials/{quote(trial_id, safe='')}"


def dagster_url(dagster: str, run_id: str) -> str:
    """A run's page in Dagster."""
    return f"{dagster.rstrip('/')}/runs/{quote(run_id, safe='')}"


def asset_url(dagster: str, asset: str, partition: str) -> str:
    """A partition of an asset in Dagster; ``asset`` may be a path with slashes."""
    query = urlencode({"view": "partitions", "partition": partition})
    return f"{dagster.rstrip('/')}/assets/{quote(asset)}?{query}"

"""Addresses of pages, and what a run is to hold of a trial."""

from __future__ import annotations

import pytest

from panic_assets.studies.tracking import asset_url, dagster_url, default_uri, pages_of, run_url, trial_url
from panic_assets.studies.tracking.contents import constraint_method, number


@pytest.mark.parametrize(
    ("uri", "pages"),
    [
        ("https://me:secret@mlflow.test:8443/base/", "https://mlflow.test:8443/base"),
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001"),
        ("sqlite:////data/mlflow/mlflow.db", "http://127.0.0.1:5000"),
        ("databricks", "http://127.0.0.1:5000"),
    ],
)
def test_pages_are_found_without_passwords(uri: str, pages: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PANIC_MLFLOW_PAGES", raising=False)
    assert pages_of(uri) == pages
    monkeypatch.setenv("PANIC_MLFLOW_PAGES", "https://elsewhere.test/")
    assert pages_of(uri) == "https://elsewhere.test"


def test_addresses() -> None:
    assert run_url("http://m/", "7", "ab" * 16) == f"http://m/#/experiments/7/runs/{'ab' * 16}"
    assert trial_url("http://p", "demo", "a/b:c") == "http://p/studies/demo/trials/a%2Fb%3Ac"
    assert dagster_url("http://d/", "1-2") == "http://d/runs/1-2"
    assert (
        asset_url("http://d", "study_trials", "demo") == "http://d/assets/study_trials?view=partitions&partition=demo"
    )


def test_the_store_is_local_unless_another_is_named(monkeypatch: pytest.MonkeyPatch, data: object) -> None:
    monkeypatch.delenv("PANIC_MLFLOW_URL", raising=False)
    assert default_uri() == f"sqlite:///{data}/mlflow/mlflow.db"
    monkeypatch.setenv("PANIC_MLFLOW_URL", "http://m:1")
    assert default_uri() == "http://m:1"


def test_what_constrains_a_training_is_named() -> None:
    free = {"weight_decay": 0.0, "dropout": 0.0, "gradient_clip": None}
    assert constraint_method(free, False) == "none"
    assert constraint_method({}, True) == "spectral_norm"
    assert constraint_method(free | {"dropout": 0.1}, False) == "dropout"
    assert (
        constraint_method(free | {"gradient_clip": 1.0, "weight_decay": 0.1}, False) == "weight_decay+gradient_clipping"
    )


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf"), 1.7976931348623157e308])
def test_what_is_no_number_is_none_on_both_sides(value: float | None) -> None:
    assert number(value) is None


def test_numbers_stay_as_they_are() -> None:
    assert [number(value) for value in (0.0, -1.5, 1e300, 1)] == [0.0, -1.5, 1e300, 1.0]

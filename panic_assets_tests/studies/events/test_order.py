"""Whatever the order in which a stream arrives, and however often: the rows at the end are the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets_tests.studies.events.parts import event, opened, rows, stream

#: Two starts of a trial that was begun again, a metric that was corrected, a trial that only its end makes known.
STREAM = [
    *stream(trials=2, steps=2),
    event("ml.trial.start", 100, model_run_id="run", trial_id="trial-0", spectral_norm=False, mlflow_run_id="again"),
    event("ml.run.metric", 101, trial_id="trial-0", metric_name="train_loss", metric_value=9.0, step=1),
    event("ml.run.metric", 102, trial_id="late", metrics={"train_loss": None, "other": 2}, step=1),
    event("ml.trial.complete", 103, model_run_id="side", trial_id="late", spectral_norm=True, metrics={"a": None}),
    event("ml.trial.start", 104, model_run_id="side", trial_id="announced", spectral_norm=False, state="pending"),
    {**event("ml.trial.start", 105, model_run_id="side", trial_id="other", spectral_norm=False), "source": "another"},
    event("ml.trial.cancelled", 106, trial_id="other", reason="pruned"),
    event("ml.artifact.created", 107, model_run_id="side", kind="figure", uri="f", checksum="cd" * 32, bytes=1),
    event("ml.artifact.created", 108, model_run_id="side", kind="figure", uri="f", checksum="ef" * 32, bytes=2),
]
_ALL = range(len(STREAM))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("order")) as store:
        assert {receipt.status for receipt in store.ingest(STREAM)} <= {"accepted", "dead"}
        assert store.dead_letters() == []
        return rows(store)


def test_rows_of_the_stream_in_order(expected):
    states = {row["trial_id"]: (row["state"], row["error_type"]) for row in expected["trials"]}
    assert states == {
        "trial-0": ("completed", None),
        "trial-1": ("failed", "nan_loss"),
        "late": ("completed", "nan_loss"),
        "announced": ("pending", None),
        "other": ("cancelled", None),
    }
    again = next(row for row in expected["trials"] if row["trial_id"] == "trial-0")
    assert (again["mlflow_run_id"], again["started_at"].second, again["duration_ms"]) == ("again", 1, 12)
    values = {(row["trial_id"], row["metric"], row["step"]): row["value"] for row in expected["metrics"]}
    assert values["trial-0", "train_loss", 1] == 9.0
    assert values["trial-1", "train_loss", 2] is None
    runs = {row["model_run_id"]: row for row in expected["model_runs"]}
    assert (runs["run"]["state"], runs["run"]["completed_trials"], runs["run"]["best_metric"]) == ("completed", 1, 0.5)
    assert (runs["side"]["state"], runs["side"]["source"], runs["side"]["completed_trials"]) == (
        "running",
        "another",
        1,
    )
    figure = next(row for row in expected["artifacts"] if row["kind"] == "figure")
    assert (figure["bytes"], figure["created_at"].second) == (2, 47)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("orders")) as found:
        yield found


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(order=st.permutations(list(_ALL)), again=st.lists(st.sampled_from(list(_ALL))), data=st.data())
def test_any_order_and_repetition_gives_the_same_rows(store, expected, order, again, data):
    sent = [STREAM[place] for place in [*order, *again]]
    store.forget("demo")
    while sent:
        number = data.draw(st.integers(1, len(sent)))
        store.ingest(sent[:number])
        sent = sent[number:]
    assert rows(store) == expected
    assert store.dead_letters() == []

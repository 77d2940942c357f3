"""The event store: receipts, dead letters, what is told apart and what is the same."""

from __future__ import annotations

import pytest

from panic_assets.live.store import LiveStoreError
from panic_assets.studies.events import letters
from panic_assets.studies.events.errors import LettersFull
from panic_assets.studies.events.store import EventStore
from panic_assets_tests.studies.events.parts import KINDS, event, opened, rows, stream


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    with opened(tmp_path, request.param) as found:
        yield found


def statuses(receipts) -> list[str]:
    return [receipt.status for receipt in receipts]


def reasons(store: EventStore) -> list[str]:
    return [letter.reason for letter in store.dead_letters()]


START = event("ml.trial.start", 1, model_run_id="run", trial_id="t", spectral_norm=True)


def test_events_sent_again_are_duplicates(store):
    told = stream()
    assert set(statuses(store.ingest(told))) == {"accepted"}
    before = rows(store)
    assert set(statuses(store.ingest(told))) == {"duplicate"}
    assert rows(store) == before


def test_an_event_without_an_id_is_known_by_what_it_says(store):
    flat = {"event": "ml.run.start", "model_run_id": "r", "requested_trials": 1, "search_space_version": 1}
    first, second = store.ingest([flat]), store.ingest([dict(reversed(flat.items()))])
    assert (first[0].status, second[0].status) == ("accepted", "duplicate")
    assert first[0].event_id == second[0].event_id


def test_a_client_may_write_the_time_anew_when_it_sends_an_event_again(store):
    later = {**START, "occurred_at": "2026-05-02T00:00:00Z"}
    assert statuses(store.ingest([START, later])) == ["accepted", "duplicate"]


def test_an_id_that_another_event_had_is_told(store):
    store.ingest([START])
    other = event("ml.trial.start", 1, model_run_id="run", trial_id="u", spectral_norm=True)
    assert statuses(store.ingest([other])) == ["dead"]
    assert statuses(store.ingest([other])) == ["dead"]
    assert reasons(store) == ["id_reused"], "sent again it is still one letter"
    assert statuses(store.replay()) == ["dead"]


def test_letters_wait_for_their_trial_and_are_applied_when_it_comes(store):
    told = stream(trials=1)
    metrics = [body for body in told if body["name"] == "ml.run.metric"]
    assert set(statuses(store.ingest(metrics))) == {"dead"}
    assert set(reasons(store)) == {"unknown_trial"}
    assert set(statuses(store.ingest(metrics))) == {"dead"}
    assert len(store.dead_letters()) == len(metrics)
    assert set(statuses(store.replay())) == {"dead"}, "the trial is not there yet"
    store.ingest(told[:2])
    assert store.dead_letters() == []
    assert len(store.metrics("trial-0")) == 7
    assert set(statuses(store.ingest(metrics))) == {"duplicate"}


def test_the_end_of_an_unknown_run_waits_for_it(store):
    start, *_, stop = stream()
    assert statuses(store.ingest([stop])) == ["dead"]
    assert reasons(store) == ["unknown_run"]
    store.ingest([start])
    assert store.dead_letters() == []
    assert store.model_runs()[0].state == "completed"


def test_a_letter_whose_id_was_taken_meanwhile_does_not_block_its_trial(store):
    waiting = event("ml.run.metric", 5, trial_id="t", metrics={"a": 1})
    store.ingest([waiting])
    other = event("ml.run.start", 5, model_run_id="r", requested_trials=1)
    assert statuses(store.ingest([other])) == ["accepted"]
    assert statuses(store.ingest([START])) == ["accepted"]
    assert reasons(store) == ["id_reused"]


def test_a_final_state_is_never_left(store):
    failed = event("ml.trial.failed", 3, trial_id="t", error_message="no memory", error_type="OOM")
    completed = event("ml.trial.complete", 2, trial_id="t", metrics={"a": 1})
    assert statuses(store.ingest([START, failed, completed])) == ["accepted", "accepted", "dead"]
    assert reasons(store) == ["conflict"]
    trial = store.trial("t")
    assert (trial.state, trial.error_type, trial.error_message, trial.metrics) == ("failed", "OOM", "no memory", {})
    again = event("ml.trial.start", 9, model_run_id="run", trial_id="t", spectral_norm=True)
    assert statuses(store.ingest([again])) == ["accepted"]
    assert store.trial("t").state == "failed"
    assert store.discard([letter.letter_id for letter in store.dead_letters()]) == 1
    assert store.dead_letters() == []


def test_a_trial_that_ran_out_of_time_is_timed_out(store):
    store.ingest([START, event("ml.trial.failed", 2, trial_id="t", error_message="too long", error_type="timeout")])
    assert store.trial("t").state == "timed_out"


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"model_run_id": "another"}, "wrong_run"), ({"spectral_norm": False}, "conflict")],
)
def test_a_trial_keeps_its_run_and_its_flag(store, change, reason):
    payload = {"model_run_id": "run", "trial_id": "t", "spectral_norm": True, "metrics": {"a": 1}} | change
    store.ingest([START, event("ml.trial.complete", 2, **payload)])
    assert reasons(store) == [reason]
    assert store.trial("t").state == "running"


def test_numbers_that_are_none_are_null_and_noted(store):
    values = {"a": "NaN", "b": float("inf"), "c": None, "d": 1.5}
    store.ingest([START, event("ml.run.metric", 2, trial_id="t", step=0, metrics=values)])
    assert {row.metric: row.value for row in store.metrics("t")} == {"a": None, "b": None, "c": None, "d": 1.5}
    assert store.trial("t").error_type == "nan_loss"
    assert store.trial("t").state == "running"


def test_what_no_event_is_becomes_a_letter_and_harms_nobody(store):
    nested: dict = {}
    for _ in range(100):
        nested = {"a": nested}
    offered = [
        START,
        {"event": "ml.run.exploded"},
        5,
        {"name": "ml.run.metric", "payload": {"trial_id": "t"}},
        {"name": "ml.trial.start", "payload": {"model_run_id": "r", "trial_id": "x", "spectral_norm": "yes"}},
        {"name": "ml.run.start", "payload": {"model_run_id": "r", "metadata": nested}},
        {"name": "ml.run.start", "payload": {"model_run_id": "r", "metadata": {"a": "x" * 300_000}}},
    ]
    assert statuses(store.ingest(offered)) == ["accepted", *["dead"] * 6]
    told = [(letter.reason, letter.details[0], letter.body is None) for letter in store.dead_letters()]
    assert told == [
        ("malformed", "unknown_event_type: ml.run.exploded", False),
        ("malformed", "validation_failed", True),
        ("malformed", "validation_failed", False),
        ("unprocessable", "event_construction_failed", False),
        ("malformed", "invalid_json", True),
        ("malformed", "too_large", True),
    ]
    assert store.count_dead_letters() == {"malformed": 5, "unprocessable": 1}


def test_there_is_an_end_to_letters_and_nothing_is_taken_in_part(store, monkeypatch):
    monkeypatch.setattr("panic_assets.studies.events.taking.MOST_LETTERS", 2)
    unknown = [event("ml.run.metric", number, trial_id="t", metrics={"a": 1}) for number in range(2, 5)]
    with pytest.raises(LettersFull, match="2 dead letters"):
        store.ingest([event("ml.run.start", 0, model_run_id="r"), *unknown])
    assert store.model_runs() == []
    assert statuses(store.ingest(unknown[:2])) == ["dead", "dead"]
    assert letters.MOST_LETTERS == 100_000


def test_what_changed_is_told_once_and_in_order(store):
    assert store.changes() == (0, [])
    store.ingest([START])
    number, first = store.changes()
    assert [(change.kind, change.key) for change in first] == [("model_run", "run"), ("trial", "t")]
    store.ingest([event("ml.run.metric", 2, trial_id="t", step=0, metrics={"a": 1, "b": 2})])
    store.ingest([event("ml.run.metric", 3, trial_id="t", step=1, metrics={"a": 1})])
    last, second = store.changes(number)
    assert [(change.number, change.kind, change.key) for change in second] == [(last, "metrics", "t")]
    assert [row.step for row in store.metrics("t", after=last - 1)] == [1]
    assert store.changes(last) == (last, [])


def test_trials_come_in_pages(store):
    for number in range(5):
        store.ingest(
            [event("ml.trial.start", number, model_run_id="r", trial_id=f"t{9 - number}", spectral_norm=False)]
        )
    first = store.trials("demo", limit=2)
    second = store.trials("demo", limit=2, after=first[-1].trial_id)
    assert [row.trial_id for row in first + second] == ["t9", "t8", "t7", "t6"]
    assert store.trials("demo", model_run_id="another") == []
    assert store.studies()[0].trials == {"running": 5}


def test_a_study_is_forgotten_whole_and_alone(store):
    store.ingest([*stream(), *stream(study="other")])
    gone = store.forget("demo")
    assert (gone["trials"], gone["model_runs"], gone["events"]) == (2, 1, len(stream()))
    assert [row.study for row in store.studies()] == ["other"]
    assert set(statuses(store.ingest(stream()))) == {"accepted"}


def test_an_address_that_is_none_is_told():
    with pytest.raises(LiveStoreError, match="the event store can't be sqlite://"):
        EventStore("sqlite://")

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
import sqlalchemy as sa

from panic_assets.live.store import AlreadyRunning, BadValue, LiveStoreError, NotThere
from panic_assets.live.values import Archived, Value
from panic_assets_tests.live.stores import KINDS, HandClock, begun, opened

TEXT = Value("text", text="a blue house")


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture(params=KINDS)
def store(request, tmp_path, clock):
    with opened(request.param, tmp_path, clock) as store:
        yield store


def test_a_run_begins_with_its_first_invocation(store, clock):
    network = store.create_network("ring", models=["one", "two"], lockout_seconds=12.5)
    run, genesis = store.begin_run(network.id, "a red house", "terminal", network.models, "image")
    assert (run.number, run.state, run.prompt, run.started_by, run.models) == (
        1, "running", "a red house", "terminal", ("one", "two"),
    )  # fmt: skip
    assert run.started_at == clock()
    assert run.started_at.tzinfo is UTC
    assert run.lockout_until == clock() + timedelta(seconds=12.5)
    assert (run.completed, run.failed, run.cost, run.ended_at, run.end_reason) == (0, 0, 0.0, None, None)
    assert (genesis.sequence_number, genesis.model, genesis.state, genesis.attempts) == (0, "one", "ready", 0)
    assert (genesis.input_medium, genesis.input_text, genesis.output_medium) == ("text", "a red house", "image")
    assert store.run(run.id) == run
    assert store.invocation(genesis.id) == genesis
    assert len(run.id) == len(genesis.id) == 22
    store.update_network(network.id, models=["three"])
    assert store.run(run.id).models == ("one", "two"), "a run keeps the ring it began with"


def test_a_network_has_one_run_at_a_time(store, clock):
    network, run, _ = begun(store)
    with pytest.raises(AlreadyRunning) as caught:
        store.begin_run(network.id, "another", "terminal", ["one"], "text")
    assert caught.value.run == run
    with pytest.raises(LiveStoreError), store._writes() as connection:
        connection.exec_driver_sql(
            "INSERT INTO runs SELECT 'x', network_id, 2, prompt, started_by, models, state, end_reason, error,"
            " lockout_until, completed, failed, cost, started_at, ended_at FROM runs"
        )
    assert store.runs(network.id) == [run], "the database itself refuses a second one"
    assert store.end_run(run.id, "pre_empted")
    clock.go(5)
    second, _ = store.begin_run(network.id, "another", "terminal", ["one"], "text")
    other, other_run, _ = begun(store)
    assert second.number == 2
    assert other_run.number == 1
    assert store.running_runs() == [second, other_run] or store.running_runs() == [other_run, second]
    assert store.current_run(network.id) == second
    assert store.current_run(other.id) == other_run
    assert [found.number for found in store.runs(network.id)] == [2, 1]
    assert [found.number for found in store.runs(network.id, limit=1)] == [2]
    assert [found.number for found in store.runs(network.id, before=2)] == [1]


def test_what_is_not_there_is_said_so(store):
    network = store.create_network("empty")
    for ask in (store.run, store.invocation, store.network, store.media, store.installation, store.user):
        with pytest.raises(NotThere, match="nowhere"):
            ask("nowhere")
    with pytest.raises(NotThere, match="nowhere"):
        store.begin_run("nowhere", "x", "y", ["one"], "text")
    with pytest.raises(BadValue, match="models"):
        store.begin_run(network.id, "x", "y", [], "text")
    assert store.current_run(network.id) is None
    assert store.runs(network.id) == []
    assert store.end_run("nowhere", "stopped") is False
    assert store.claim("nowhere") is store.complete("nowhere", "x", None, 1, 1) is False
    assert store.add_invocation("nowhere", 1, "one", TEXT, "text") is None


def test_an_invocation_goes_from_ready_to_completed(store, clock):
    _, run, genesis = begun(store)
    assert store.complete(genesis.id, "early", None, 1.0, 1.0) is False
    assert store.set_upstream(genesis.id, "p-1") is False
    assert store.claim(genesis.id) is True
    assert store.claim(genesis.id) is False
    assert store.set_upstream(genesis.id, "p-1") is True
    invoking = store.invocation(genesis.id)
    assert (invoking.state, invoking.attempts, invoking.upstream_id) == ("invoking", 1, "p-1")
    assert invoking.started_at == clock()
    assert store.unfinished() == [invoking]
    clock.go(3)
    assert store.complete(genesis.id, "a caption", None, 2.5, 0.125) is True
    assert store.complete(genesis.id, "again", None, 2.5, 0.125) is False
    done = store.invocation(genesis.id)
    assert (done.state, done.output_text, done.latency_seconds, done.cost) == ("completed", "a caption", 2.5, 0.125)
    assert done.completed_at == clock()
    assert store.unfinished() == []
    assert (store.run(run.id).completed, store.run(run.id).cost) == (1, 0.125)


def test_an_attempt_that_failed_is_given_back_and_what_it_cost_is_counted(store):
    _, run, genesis = begun(store)
    store.claim(genesis.id)
    store.set_upstream(genesis.id, "p-1")
    assert store.give_back(genesis.id, "transient", "503", cost=0.1) is True
    assert store.give_back(genesis.id, "transient", "503", cost=0.1) is False
    waiting = store.invocation(genesis.id)
    assert (waiting.state, waiting.error_kind, waiting.error) == ("ready", "transient", "503")
    assert waiting.upstream_id is None, "the next attempt is another call"
    assert store.claim(genesis.id)
    assert store.invocation(genesis.id).attempts == 2
    assert store.complete(genesis.id, "a caption", None, 1.0, 0.2)
    done = store.invocation(genesis.id)
    assert (done.cost, done.error_kind, done.error) == (0.3, None, None)
    assert store.run(run.id).cost == 0.3
    assert store.run(run.id).failed == 0


def test_a_failed_invocation_stays_failed(store):
    _, run, genesis = begun(store)
    store.claim(genesis.id)
    assert store.fail(genesis.id, "moderation", "no", cost=0.5) is True
    before = store.invocation(genesis.id), store.run(run.id)
    assert before[1].failed == 1
    assert before[1].cost == 0.5
    assert before[1].state == "running"
    assert not store.fail(genesis.id, "internal", "again", cost=0.5)
    assert not store.complete(genesis.id, "late", None, 1.0, 0.5)
    assert not store.give_back(genesis.id, "transient", "late", cost=0.5)
    assert not store.claim(genesis.id)
    assert not store.set_upstream(genesis.id, "late")
    assert (store.invocation(genesis.id), store.run(run.id)) == before


def test_the_end_of_a_run_closes_what_is_open_and_nothing_comes_back(store, clock):
    _, run, genesis = begun(store)
    store.claim(genesis.id)
    store.complete(genesis.id, "done", None, 1.0, 0.25)
    invoking = store.add_invocation(run.id, 1, "two", TEXT, "text")
    ready = store.add_invocation(run.id, 2, "one", TEXT, "text")
    store.claim(invoking.id)
    clock.go(60)
    assert store.end_run(run.id, "stopped") is True
    assert store.end_run(run.id, "failed", "too late") is False
    ended = store.run(run.id)
    assert (ended.state, ended.end_reason, ended.error, ended.ended_at) == ("ended", "stopped", None, clock())
    assert (ended.completed, ended.failed, ended.cost) == (1, 2, 0.25)
    rows = store.invocations(run.id)
    assert [row.state for row in rows] == ["completed", "failed", "failed"]
    assert [row.error_kind for row in rows] == [None, "cancelled", "cancelled"]
    for late in (invoking, ready):
        assert not store.complete(late.id, "late", None, 1.0, 9.0)
        assert not store.claim(late.id)
        assert not store.set_upstream(late.id, "late")
        assert not store.give_back(late.id, "transient", "late", 9.0)
        assert not store.fail(late.id, "timeout", "late", 9.0)
    assert store.add_invocation(run.id, 3, "two", TEXT, "text") is None
    assert (store.run(run.id), store.invocations(run.id)) == (ended, rows)
    assert store.running_runs() == store.unfinished() == []


def test_a_step_of_a_run_is_there_once(store):
    _, run, genesis = begun(store)
    first = store.add_invocation(run.id, 1, "two", Value("image", key="ab/cd.webp"), "text")
    assert (first.input_medium, first.input_text, first.input_key) == ("image", None, "ab/cd.webp")
    assert store.add_invocation(run.id, 1, "two", TEXT, "text") is None
    assert store.invocations(run.id) == [genesis, first]


def test_invocations_are_given_in_order_from_either_end(store):
    _, run, _ = begun(store)
    for number in (3, 1, 2, 4):
        store.add_invocation(run.id, number, "one", TEXT, "text")
    assert [row.sequence_number for row in store.invocations(run.id)] == [0, 1, 2, 3, 4]
    assert [row.sequence_number for row in store.invocations(run.id, after=1, limit=2)] == [2, 3]
    assert [row.sequence_number for row in store.last_invocations(run.id, 2)] == [3, 4]


@pytest.mark.parametrize("cost", [-0.01, float("nan"), float("inf"), 2e6])
def test_what_can_not_have_been_billed_is_refused(store, cost):
    _, run, genesis = begun(store)
    store.claim(genesis.id)
    with pytest.raises(BadValue, match="cost"):
        store.complete(genesis.id, "x", None, 1.0, cost)
    with pytest.raises(BadValue, match="cost"):
        store.fail(genesis.id, "timeout", "x", cost)
    assert store.invocation(genesis.id).state == "invoking"
    assert store.run(run.id).cost == 0


def test_values_that_make_no_sense_change_nothing(store):
    _, run, genesis = begun(store)
    store.claim(genesis.id)
    before = store.invocation(genesis.id), store.run(run.id)
    for text, key in ((None, None), ("x", "y")):
        with pytest.raises(BadValue, match="output"):
            store.complete(genesis.id, text, key, 1.0, None)
        with pytest.raises(BadValue, match="input"):
            store.add_invocation(run.id, 1, "two", Value("text", text=text, key=key), "text")
    with pytest.raises(BadValue, match="latency_seconds"):
        store.complete(genesis.id, "x", None, -1.0, None)
    with pytest.raises(BadValue, match="sequence_number"):
        store.add_invocation(run.id, -1, "two", TEXT, "text")
    for act in (store.fail, store.give_back):
        with pytest.raises(BadValue, match="kind"):
            act(genesis.id, "bad luck", "x")
    with pytest.raises(BadValue, match="reason"):
        store.end_run(run.id, "boredom")
    assert (store.invocation(genesis.id), store.run(run.id)) == before


def test_small_costs_add_up_exactly(store):
    _, run, genesis = begun(store)
    for _ in range(30):
        store.claim(genesis.id)
        store.give_back(genesis.id, "transient", "again", cost=0.0000001)
    store.claim(genesis.id)
    store.complete(genesis.id, "x", None, 0.0, 0.1)
    assert store.run(run.id).cost == store.invocation(genesis.id).cost == 0.100003


def test_texts_that_no_database_takes_are_made_storable(store):
    network = store.create_network("ring", models=["one"])
    run, genesis = store.begin_run(network.id, "half \ud83d and \x00 nothing 🎉", "terminal", ["one"], "text")
    assert run.prompt == genesis.input_text == "half � and � nothing 🎉"
    store.claim(genesis.id)
    assert store.complete(genesis.id, "\udc00", None, None, None)
    assert store.invocation(genesis.id).output_text == "�"


def test_the_media_of_a_run_are_known_once_in_the_order_in_which_they_appeared(store):
    def medium(key, **more):
        return Archived(key, "image", "image/webp", "0" * 64, 10, "1" * 64, 3_000_000_000, "image/png", **more)

    pictures = [medium("bb/2.webp", width=64, height=48), medium("aa/1.webp"), medium("cc/3.ogg", seconds=1.5)]
    for archived in pictures:
        store.add_media(archived)
        store.add_media(archived)
    store.add_media(medium("aa/1.webp", width=1))
    assert [store.media(archived.key) for archived in pictures] == pictures, "the first word holds"
    _, run, genesis = begun(store)
    calls = [genesis] + [store.add_invocation(run.id, number, "one", TEXT, "image") for number in (1, 2)]
    for call, key in zip(calls, ["bb/2.webp", "aa/1.webp", "bb/2.webp"], strict=True):
        store.claim(call.id)
        store.complete(call.id, None, key, 0.5, None)
    assert store.media_of_run(run.id) == pictures[:2]


def test_the_database_itself_refuses_states_that_make_no_sense(store):
    _, _, genesis = begun(store)
    for change in ("state = 'lost'", "state = 'completed'", "input_text = NULL", "state = 'failed'"):
        with pytest.raises(LiveStoreError), store._writes() as connection:
            connection.execute(sa.text(f"UPDATE invocations SET {change}"))
    with pytest.raises(LiveStoreError), store._writes() as connection:
        connection.execute(sa.text("UPDATE runs SET state = 'ended'"))
    assert store.invocation(genesis.id) == genesis

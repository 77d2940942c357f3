"""Of many who want the same transition at the same time, exactly one gets it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from panic_assets.live.store import AlreadyRunning, Store
from panic_assets.live.values import Value
from panic_assets_tests.live.stores import KINDS, address, begun, opened

TEXT = Value("text", text="a blue house")
PATIENCE = 60.0


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    with address(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def store(url):
    store = Store(url, patience_seconds=PATIENCE)
    store.migrate()
    yield store
    store.close()


def at_once(*acts):
    """What each of the acts gives, done by as many threads that start together."""
    gate = threading.Barrier(len(acts))

    def act(one):
        gate.wait()
        return one()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(act, acts))


def beginning(store, network_id, prompt):
    try:
        return store.begin_run(network_id, prompt, "terminal", ["one"], "text")
    except AlreadyRunning as running:
        return running


def test_of_many_claims_in_threads_one_is_true(store):
    _, run, _ = begun(store)
    for number in range(1, 6):
        call = store.add_invocation(run.id, number, "one", TEXT, "text")
        assert sum(at_once(*[lambda call=call: store.claim(call.id)] * 12)) == 1
        assert store.invocation(call.id).attempts == 1
        assert sum(at_once(*[lambda call=call: store.complete(call.id, "x", None, 1.0, 0.01)] * 8)) == 1
    assert (store.run(run.id).completed, store.run(run.id).cost) == (5, 0.05)


def test_of_many_beginnings_in_threads_one_begins(store):
    network = store.create_network("ring")
    found = at_once(*[lambda number=number: beginning(store, network.id, str(number)) for number in range(10)])
    refused = [answer for answer in found if isinstance(answer, AlreadyRunning)]
    [(run, genesis)] = [answer for answer in found if isinstance(answer, tuple)]
    assert len(refused) == 9
    assert {answer.run.id for answer in refused} == {run.id}
    assert store.runs(network.id) == [run]
    assert store.invocations(run.id) == [genesis]


def test_many_additions_of_one_step_make_one(store):
    _, run, _ = begun(store)
    found = at_once(*[lambda: store.add_invocation(run.id, 1, "two", TEXT, "text")] * 8)
    assert sum(call is not None for call in found) == 1


def test_nothing_is_open_after_the_end_whoever_comes_first(store):
    network = store.create_network("ring")
    for _ in range(12):
        run, genesis = store.begin_run(network.id, "x", "y", ["one"], "text")
        store.claim(genesis.id)
        second = store.add_invocation(run.id, 1, "one", TEXT, "text")
        ended, done, _, added = at_once(
            lambda run=run: store.end_run(run.id, "stopped"),
            lambda genesis=genesis: store.complete(genesis.id, "x", None, 1.0, 0.5),
            lambda second=second: store.claim(second.id),
            lambda run=run: store.add_invocation(run.id, 2, "one", TEXT, "text"),
        )
        rows = store.invocations(run.id)
        assert ended
        assert {row.state for row in rows} <= {"completed", "failed"}
        assert len(rows) == 2 + (added is not None)
        after = store.run(run.id)
        assert (after.completed, after.failed) == (done, len(rows) - done)
        assert after.cost == 0.5 * done
    assert store.unfinished() == []
    assert store.running_runs() == []


def test_attempts_are_all_counted(store):
    numbers = at_once(*[lambda: store.add_attempt("login:someone", 3600).number] * 10)
    assert sorted(numbers) == list(range(1, 11))


def _claims_elsewhere(url, gate, calls, network_id, answers):
    store = Store(url, patience_seconds=PATIENCE)
    gate.wait()
    claimed = [store.claim(call) for call in calls]
    began = [isinstance(beginning(store, network, "x"), tuple) for network in network_id]
    answers.put((claimed, began))
    store.close()


def test_of_two_processes_one_wins_each_time(store, url):
    _, run, _ = begun(store)
    calls = [store.add_invocation(run.id, number, "one", TEXT, "text").id for number in range(1, 31)]
    networks = [store.create_network(str(number)).id for number in range(10)]
    start = multiprocessing.get_context("spawn")
    gate, answers = start.Barrier(2), start.Queue()
    workers = [start.Process(target=_claims_elsewhere, args=(url, gate, calls, networks, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    (claimed, began), (claimed_too, began_too) = answers.get(timeout=60), answers.get(timeout=60)
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    assert all(one != other for one, other in zip(claimed, claimed_too, strict=True))
    assert all(one != other for one, other in zip(began, began_too, strict=True))
    assert {row.attempts for row in store.invocations(run.id, after=0)} == {1}
    assert len(store.running_runs()) == 11


def _migrates_elsewhere(url, gate):
    gate.wait()
    Store(url, patience_seconds=PATIENCE).migrate()


def test_two_processes_may_migrate_at_once(url):
    start = multiprocessing.get_context("spawn")
    gate = start.Barrier(2)
    workers = [start.Process(target=_migrates_elsewhere, args=(url, gate)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    store = Store(url)
    assert store.networks() == []
    assert store.users() == []
    store.close()


def _dies_in_a_transaction(url):
    store = Store(url)
    with store._writes() as connection:
        connection.exec_driver_sql("UPDATE invocations SET state = 'failed', completed_at = created_at")
        connection.exec_driver_sql("UPDATE runs SET failed = 7")
        os._exit(9)


def test_what_a_killed_process_had_half_done_is_undone(store, url):
    _, run, genesis = begun(store)
    store.claim(genesis.id)
    before = store.run(run.id), store.invocation(genesis.id)
    worker = multiprocessing.get_context("spawn").Process(target=_dies_in_a_transaction, args=(url,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 9
    assert (store.run(run.id), store.invocation(genesis.id)) == before
    assert store.unfinished() == [before[1]]
    assert store.complete(genesis.id, "x", None, 1.0, 0.1)


def test_readers_see_whole_transactions_while_others_write(tmp_path):
    with opened("sqlite", tmp_path) as store:
        network = store.create_network("ring")
        over = threading.Event()

        def read():
            seen = 0
            while not over.is_set():
                for run in store.runs(network.id):
                    rows = store.invocations(run.id)
                    assert rows, "a run is never seen without its first invocation"
                    ended = store.run(run.id).state == "ended"
                    assert not ended or all(row.completed_at for row in store.invocations(run.id))
                    seen += 1
            return seen

        with ThreadPoolExecutor(3) as threads:
            readers = [threads.submit(read) for _ in range(3)]
            try:
                for _ in range(20):
                    run, genesis = store.begin_run(network.id, "x", "y", ["one"], "text")
                    store.claim(genesis.id)
                    store.end_run(run.id, "stopped")
            finally:
                over.set()
            assert all(reader.result() > 0 for reader in readers)

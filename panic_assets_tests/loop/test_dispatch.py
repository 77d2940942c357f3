"""Dispatching: one batch size, the failing request alone, memory that runs out, devices that are lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.devices.base import Call, CallTimedOut, DeviceLost, Reply
from panic_assets.devices.known import KnownFacts
from panic_assets.devices.local import LocalDevice
from panic_assets.loop.dispatch import Answer, BadOutput, Dispatcher, Incident, Request
from panic_assets.models.base import Output
from panic_assets.models.entry import FolderSource, ModelEntry
from panic_assets.models.errors import ModelLoadError
from panic_assets.models.pool import ModelPool
from panic_assets_tests.loop.parts import WatchedPool, plain_pool, registry


def _entry(name: str = "DummyT2T", **overrides: Any) -> ModelEntry:
    return registry()[name].with_overrides(overrides)


def _requests(*texts: str) -> list[Request]:
    return [Request(text, text, 5) for text in texts]


def _ask(
    entry: ModelEntry, pool: ModelPool, requests: Sequence[Request], rounds: int = 1, **options: Any
) -> tuple[list[Answer], list[Incident]]:
    """All answers and incidents in the order in which they came."""
    answers, incidents = list[Answer](), list[Incident]()
    with Dispatcher([LocalDevice(pool)], {entry.name: entry}, **options) as dispatcher:
        for _ in range(rounds):
            dispatcher.submit(entry.name, requests)
            wanted = len(answers) + len(requests)
            while len(answers) < wanted:
                came = dispatcher.come()
                if isinstance(came, Incident):
                    incidents.append(came)
                else:
                    answers += came
        assert dispatcher.totals.calls <= len(answers) + len(incidents)
    return answers, incidents


def _by_key(answers: Sequence[Answer]) -> dict[object, Answer]:
    assert len({answer.key for answer in answers}) == len(answers), "each request is answered once"
    return {answer.key: answer for answer in answers}


def _texts(entry: ModelEntry, texts: Sequence[str]) -> list[object]:
    return [plain_pool().get(entry).invoke([text], [5])[0].value for text in texts]


def test_every_call_has_the_same_size_and_each_request_its_own_output() -> None:
    entry, names = _entry(batch=4), [f"text {n}" for n in range(10)]
    pool = WatchedPool()
    answers, incidents = _ask(entry, pool, _requests(*names))
    assert [len(inputs) for _, inputs, _ in pool.calls] == [4, 4, 4]
    assert [answer.key for answer in answers] == names
    assert [answer.output.value for answer in answers] == _texts(entry, names)  # type: ignore[union-attr]
    assert {(answer.batch_size, answer.retries, answer.device) for answer in answers} == {(4, 0, "cpu")}
    assert not incidents


def test_padding_repeats_a_request_of_the_same_call() -> None:
    pool = WatchedPool()
    _ask(_entry(batch=4), pool, _requests("x", "y"))
    assert pool.calls[0][1:] == (["x", "y", "x", "x"], [5, 5, 5, 5])


def test_a_failing_request_fails_alone_and_after_a_third_try() -> None:
    entry = _entry(batch=4, parameters={"fail_on": "bad"})
    given, incidents = _ask(entry, WatchedPool(), _requests("a", "bad one", "c", "d", "e"))
    answers = _by_key(given)
    assert {key for key, answer in answers.items() if answer.output is None} == {"bad one"}
    assert "fails on purpose" in str(answers["bad one"].error)
    assert [answers[key].output.value for key in "acde"] == _texts(entry, "acde")  # type: ignore[union-attr]
    assert {key: answer.retries for key, answer in answers.items()} == {"a": 1, "bad one": 2, "c": 1, "d": 1, "e": 0}
    assert {answer.batch_size for answer in answers.values()} == {4}
    assert [(i.kind, i.keys) for i in incidents] == [
        ("error", ("a", "bad one", "c", "d")),
        *[("error", ("bad one",))] * 2,
    ]


def test_a_fault_that_passes_costs_a_retry_and_no_output() -> None:
    faults = iter([RuntimeError("the device hiccuped")])

    def hiccup(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        for fault in faults:
            raise fault

    entry = _entry(batch=2)
    answers, incidents = _ask(entry, WatchedPool(watch=hiccup), _requests("a", "b"))
    assert [_by_key(answers)[key].output.value for key in "ab"] == _texts(entry, "ab")  # type: ignore[union-attr]
    assert [(incident.kind, incident.message) for incident in incidents] == [
        ("error", "RuntimeError: the device hiccuped")
    ]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_out_of_memory_halves_the_batch_for_good(error: Exception) -> None:
    def refuse(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        if len(inputs) > 3:
            raise error

    pool = WatchedPool(watch=refuse)
    answers, incidents = _ask(_entry(batch=8), pool, _requests(*"abcde"), rounds=2)
    assert {answer.batch_size for answer in answers} == {2}
    assert all(answer.output for answer in answers)
    assert [len(inputs) for _, inputs, _ in pool.calls] == [8, 4, 2, 2, 2, 2, 2, 2]
    assert [incident.kind for incident in incidents] == ["out_of_memory"] * 2


def test_what_ran_out_of_memory_is_remembered(tmp_path: Path) -> None:
    def refuse(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        if len(inputs) > 3:
            raise MemoryError("no room")

    facts = KnownFacts(tmp_path / "devices.json")
    _ask(_entry(batch=8), WatchedPool(watch=refuse), _requests("a"), facts=facts)
    facts.save()
    pool = WatchedPool(watch=refuse)
    _, incidents = _ask(_entry(batch=8), pool, _requests("b"), facts=KnownFacts(tmp_path / "devices.json"))
    assert [len(inputs) for _, inputs, _ in pool.calls] == [2]
    assert not incidents


def test_a_model_without_a_batch_size_is_probed_once(tmp_path: Path) -> None:
    def refuse(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        if len(inputs) > 5:
            raise MemoryError("no room")

    entry, facts = _entry(batch=None), KnownFacts(tmp_path / "devices.json")
    answers, incidents = _ask(entry, WatchedPool(watch=refuse), _requests(*"abcdef"), facts=facts)
    (size,) = {answer.batch_size for answer in answers}
    assert size in (1, 2, 4)
    assert [a.output.value for a in answers] == _texts(entry, "abcdef")  # type: ignore[union-attr]
    assert not incidents
    pool = WatchedPool(watch=refuse)
    _ask(entry, pool, _requests("g"), facts=facts)
    assert [len(inputs) for _, inputs, _ in pool.calls] == [size]


def test_a_model_that_can_not_be_probed_goes_one_by_one_and_says_so() -> None:
    entry = _entry(batch=None, parameters={"fail_on": "bad"})
    given, incidents = _ask(entry, WatchedPool(), _requests("bad", "b"))
    answers = _by_key(given)
    assert [answers[key].output is None for key in ("bad", "b")] == [True, False]
    assert {answer.batch_size for answer in given} == {1}
    assert incidents[0].kind == "error"
    assert incidents[0].message.startswith("probing failed, so batches are of 1: ModelCallError: ")


def test_memory_that_does_not_do_for_one_fails_the_request() -> None:
    def refuse(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        raise MemoryError("no room")

    answers, _ = _ask(_entry(batch=2), WatchedPool(watch=refuse), _requests("a", "b"))
    assert [(a.output, str(a.error), a.batch_size) for a in answers] == [(None, "no room", 1)] * 2


def test_a_picture_that_is_not_finite_is_asked_again_and_kept_if_it_stays_so() -> None:
    spoiled = iter([True, False])

    def once(entry: ModelEntry, output: Output) -> Output:
        return Output(output.value, frozenset({"non_finite"})) if next(spoiled, False) else output

    entry = _entry("DummyT2I", batch=1)
    (answer,), incidents = _ask(entry, WatchedPool(change=once), _requests("a"))
    assert isinstance(answer.output, Output)
    assert not answer.output.flags
    assert answer.retries == 1
    assert [incident.kind for incident in incidents] == ["bad_output"]

    def always(entry: ModelEntry, output: Output) -> Output:
        return Output(output.value, frozenset({"non_finite"}))

    (answer,), _ = _ask(entry, WatchedPool(change=always), _requests("a"))
    assert isinstance(answer.output, Output)
    assert answer.output.flags == {"non_finite"}


class _Losing(LocalDevice):
    """A device that is lost at some of its calls: ``loses`` gets the inputs of each."""

    def __init__(self, loses: Callable[[Sequence[Any]], Exception | None]) -> None:
        super().__init__(plain_pool())
        self.loses, self.sizes = loses, list[int]()

    def call(self, call: Call) -> Reply:
        distinct = list(dict.fromkeys(call.inputs))
        self.sizes.append(len(distinct))
        if (error := self.loses(distinct)) is not None:
            raise error
        return super().call(call)


def _ask_losing(device: LocalDevice, *texts: str) -> tuple[dict[object, Answer], list[str]]:
    entry, answers, kinds = _entry(batch=4), list[Answer](), list[str]()
    with Dispatcher([device], {entry.name: entry}) as dispatcher:
        dispatcher.submit(entry.name, _requests(*texts))
        while len(answers) < len(texts):
            came = dispatcher.come()
            if isinstance(came, Incident):
                kinds.append(came.kind)
            else:
                answers += came
    return _by_key(answers), kinds


def test_a_lost_device_costs_the_batch_a_second_try() -> None:
    losses = iter([DeviceLost("gone"), CallTimedOut("hung")])
    device = _Losing(lambda inputs: next(losses, None))
    answers, kinds = _ask_losing(device, "a", "b", "c")
    assert kinds == ["device_lost", "timed_out"]
    assert [answers[key].output.value for key in "abc"] == _texts(_entry(), "abc")  # type: ignore[union-attr]
    assert device.sizes == [3, 3, 1, 1, 1]


def test_a_request_that_loses_the_device_each_time_fails_for_itself() -> None:
    device = _Losing(lambda inputs: DeviceLost("killed by a wild pointer") if "bad" in inputs else None)
    answers, kinds = _ask_losing(device, "a", "bad", "c")
    assert [key for key, answer in answers.items() if answer.output is None] == ["bad"]
    assert isinstance(answers["bad"].error, DeviceLost)
    assert len(kinds) == 4, "twice with others, twice alone"


def test_a_device_that_stays_lost_rests_while_another_works() -> None:
    """Each loss costs its requests a retry: without a rest, the lost device would spend them all."""
    entry, answers = _entry(batch=1), list[Answer]()
    gone = _Losing(lambda inputs: DeviceLost("no place for it"))
    slow = LocalDevice(WatchedPool(watch=lambda entry, inputs, seeds: time.sleep(0.01)), name="slow")
    with Dispatcher([gone, slow], {entry.name: entry}) as dispatcher:
        dispatcher.submit(entry.name, _requests(*map(str, range(40))))
        while len(answers) < 40:
            came = dispatcher.come()
            answers += [] if isinstance(came, Incident) else came
    assert all(answer.output is not None for answer in answers)
    assert len(gone.sizes) == 2


def test_a_model_that_can_not_be_loaded_is_told_at_once() -> None:
    entry = _entry().model_copy(update={"adapter": "captioner", "source": FolderSource(path="/nowhere")})
    with pytest.raises(ModelLoadError, match="nowhere"):
        _ask(entry, ModelPool(), _requests("a"))


def test_work_is_shared_among_devices_whichever_is_free() -> None:
    """One device hangs on its first call until the other has done all the rest."""
    rest = threading.Event()
    done = list[str]()

    def slow(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        assert rest.wait(20)

    def quick(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        done.extend(inputs)
        if len(done) == 9:
            rest.set()

    entry = _entry(batch=1)
    devices = [LocalDevice(WatchedPool(watch=slow), name="slow"), LocalDevice(WatchedPool(watch=quick), name="quick")]
    texts = [str(number) for number in range(10)]
    answers: list[Answer] = []
    with Dispatcher(devices, {entry.name: entry}) as dispatcher:
        dispatcher.submit(entry.name, _requests(*texts))
        while len(answers) < 10:
            came = dispatcher.come()
            assert not isinstance(came, Incident)
            answers += came
    values = {answer.key: answer.output.value for answer in answers}  # type: ignore[union-attr]
    assert [values[text] for text in texts] == _texts(entry, texts)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DummyT2T", np.zeros((2, 2, 3), np.uint8), "DummyT2T gave ndarray; its output must be a text"),
        ("DummyT2T", "half \ud800", "DummyT2T gave a text that is not Unicode"),
        ("DummyT2I", "a text", "DummyT2I gave str; its output must be a picture"),
        ("DummyT2I", np.zeros((2, 2, 3), np.float32), r"DummyT2I gave float32 \(2, 2, 3\); a picture is a uint8 array"),
        ("DummyT2I", np.zeros((2, 2), np.uint8), r"DummyT2I gave uint8 \(2, 2\); a picture is"),
        ("DummyT2I", np.zeros((0, 2, 3), np.uint8), r"DummyT2I gave uint8 \(0, 2, 3\); a picture is"),
    ],
)
def test_an_output_that_can_not_be_stored_is_the_request_s_failure(name: str, value: Any, message: str) -> None:
    pool = WatchedPool(change=lambda entry, output: Output(value))
    (answer,), _ = _ask(_entry(name, batch=1), pool, _requests("a"))
    assert answer.output is None
    with pytest.raises(BadOutput, match=message):
        raise answer.error  # type: ignore[misc]


def test_too_few_outputs_are_told() -> None:
    class Short(WatchedPool):
        def get(self, entry: ModelEntry) -> Any:
            watched = super().get(entry)
            watched.inner = type("Short", (), {"entry": entry, "invoke": lambda self, inputs, seeds: []})()
            return watched

    (answer,), _ = _ask(_entry(batch=3), Short(), _requests("a"))
    assert str(answer.error) == "DummyT2T gave 0 outputs for 3 inputs"

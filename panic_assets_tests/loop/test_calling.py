"""Calling: one batch size, the failing request alone, memory that runs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from panic_assets.loop.calling import Answer, BadOutput, Caller, Request, is_out_of_memory, request_key
from panic_assets.models.base import Output
from panic_assets.models.entry import ModelEntry
from panic_assets.models.pool import ModelPool
from panic_assets_tests.loop.parts import WatchedPool, plain_pool, registry


def _entry(name: str = "DummyT2T", **overrides: Any) -> ModelEntry:
    return registry()[name].with_overrides(overrides)


def _requests(*texts: str) -> list[Request]:
    return [Request(text, text, 5) for text in texts]


def _ask(caller: Caller, requests: Sequence[Request]) -> dict[object, Answer]:
    return {answer.key: answer for answers in caller.answers(requests) for answer in answers}


def _texts(entry: ModelEntry, texts: Sequence[str]) -> list[object]:
    return [plain_pool().get(entry).invoke([text], [5])[0].value for text in texts]


def test_every_call_has_the_same_size_and_each_request_its_own_output() -> None:
    entry, names = _entry(batch=4), [f"text {n}" for n in range(10)]
    pool = WatchedPool()
    caller = Caller(entry, pool)
    lists = list(caller.answers(_requests(*names)))
    assert [len(answers) for answers in lists] == [4, 4, 2]
    assert [len(inputs) for _, inputs, _ in pool.calls] == [4, 4, 4]
    answers = [answer for some in lists for answer in some]
    assert [answer.key for answer in answers] == names
    assert [answer.output.value for answer in answers if answer.output] == _texts(entry, names)
    assert {(answer.batch_size, answer.retries) for answer in answers} == {(4, 0)}
    assert caller.calls == 3
    assert sum(answer.seconds for answer in answers) == pytest.approx(caller.seconds)


def test_padding_repeats_a_request_of_the_same_call() -> None:
    pool = WatchedPool()
    _ask(Caller(_entry(batch=4), pool), _requests("x", "y"))
    assert pool.calls[0][1:] == (["x", "y", "x", "x"], [5, 5, 5, 5])


def test_a_failing_request_fails_alone_and_after_a_second_try() -> None:
    entry = _entry(batch=4, parameters={"fail_on": "bad"})
    answers = _ask(Caller(entry, WatchedPool()), _requests("a", "bad one", "c", "d", "e"))
    assert {key for key, answer in answers.items() if answer.output is None} == {"bad one"}
    assert "fails on purpose" in str(answers["bad one"].error)
    assert [answers[key].output.value for key in "acde"] == _texts(entry, "acde")  # type: ignore[union-attr]
    assert {key: answer.retries for key, answer in answers.items()} == {"a": 1, "bad one": 1, "c": 1, "d": 1, "e": 0}
    assert {answer.batch_size for answer in answers.values()} == {4}


def test_a_fault_that_passes_costs_a_retry_and_no_output() -> None:
    faults = iter([RuntimeError("the device hiccuped")])

    def hiccup(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        for fault in faults:
            raise fault

    entry = _entry(batch=2)
    answers = _ask(Caller(entry, WatchedPool(watch=hiccup)), _requests("a", "b"))
    assert [answers[key].output.value for key in "ab"] == _texts(entry, "ab")  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_out_of_memory_halves_the_batch_for_good(error: Exception) -> None:
    def refuse(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        if len(inputs) > 3:
            raise error

    pool = WatchedPool(watch=refuse)
    caller = Caller(_entry(batch=8), pool)
    answers = _ask(caller, _requests(*"abcde"))
    assert {answer.batch_size for answer in answers.values()} == {2}
    assert all(answer.output for answer in answers.values())
    assert [len(inputs) for _, inputs, _ in pool.calls] == [8, 4, 2, 2, 2]
    _ask(caller, _requests("f"))
    assert len(pool.calls[-1][1]) == 2


def test_memory_that_does_not_do_for_one_fails_the_request() -> None:
    def refuse(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        raise MemoryError("no room")

    answers = _ask(Caller(_entry(batch=2), WatchedPool(watch=refuse)), _requests("a", "b"))
    assert [(a.output, str(a.error), a.batch_size) for a in answers.values()] == [(None, "no room", 1)] * 2


def test_memory_errors_are_known_by_class_or_words() -> None:
    named = type("OutOfMemoryError", (RuntimeError,), {})
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(named())
    assert is_out_of_memory(RuntimeError("MPS backend out of memory"))
    assert not is_out_of_memory(RuntimeError("device-side assert triggered"))


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
    (answer,) = _ask(Caller(_entry(name, batch=1), pool), _requests("a")).values()
    assert answer.output is None
    with pytest.raises(BadOutput, match=message):
        raise answer.error  # type: ignore[misc]


def test_too_few_outputs_are_told() -> None:
    class Short(WatchedPool):
        def get(self, entry: ModelEntry) -> Any:
            watched = super().get(entry)
            watched.inner = type("Short", (), {"entry": entry, "invoke": lambda self, inputs, seeds: []})()
            return watched

    (answer,) = _ask(Caller(_entry(batch=3), Short()), _requests("a")).values()
    assert str(answer.error) == "DummyT2T gave 0 outputs for 3 inputs"


def test_the_caller_does_not_keep_the_model_from_being_let_go() -> None:
    one, other = _entry(memory_gb=1), _entry("DummyI2T", memory_gb=1, load={})
    other = other.model_copy(update={"dtype": {"cpu": "float16", "cuda": "float16", "mps": "float16"}})
    with ModelPool(capacity_gb=1.5) as pool:
        first, second = Caller(one, pool), Caller(other, pool)
        _ask(first, _requests("a"))
        _ask(second, [Request("p", np.zeros((4, 4, 3), np.uint8), 1)])
        assert (pool.loads, pool.evictions) == (2, 1)
        _ask(first, _requests("b"))
        assert (pool.loads, pool.evictions) == (3, 2)


def test_what_counts_as_the_same_work_depends_on_what_the_model_heeds() -> None:
    def key(behaviour: str, *rest: Any) -> object:
        return request_key(_entry(seed_behaviour=behaviour), *rest)

    assert key("deterministic", "a", 1, 0) == key("deterministic", "a", 2, 5)
    assert key("deterministic", "a", 1, 0) != key("deterministic", "b", 1, 0)
    assert key("seeded", "a", 1, 0) == key("seeded", "a", 1, 5)
    assert key("seeded", "a", 1, 0) != key("seeded", "a", 2, 0)
    assert key("none", "a", 1, 0) != key("none", "a", 1, 5)

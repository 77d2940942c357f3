"""Identities: values that must never change, because stored rows carry them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.loop.ids import content_id, invocation_id, noise_number

RUN = bytes(range(16))


def test_ids_that_lakes_hold_already_stay() -> None:
    assert content_id({"b": 1, "a": ["é", None]}).hex() == "af4113d17bb0029edc41b6d51bd8ee90"
    assert invocation_id(RUN, 3).hex() == "44450d83693c3af379460a216a0ef658"
    assert noise_number(RUN, -1, 3) == 8601874035380672550


def test_the_order_of_keys_does_not_matter_but_that_of_lists_does() -> None:
    assert content_id({"a": 1, "b": 2}) == content_id({"b": 2, "a": 1})
    assert content_id([1, 2]) != content_id([2, 1])


def test_what_is_no_json_has_no_id() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        content_id(float("nan"))


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6))
def test_a_seeded_run_has_its_seed_at_every_invocation(seed: int, step: int) -> None:
    assert noise_number(RUN, seed, step) == seed


@given(st.binary(min_size=16, max_size=16), st.integers(0, 10**6))
def test_an_unseeded_run_has_fresh_noise_in_range_at_every_invocation(run_id: bytes, step: int) -> None:
    number = noise_number(run_id, -1, step)
    assert 0 <= number < 2**63
    assert number != noise_number(run_id, -1, step + 1)
    assert number == noise_number(run_id, -1, step)

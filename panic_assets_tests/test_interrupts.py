"""A test that leaves Dagster's interrupt handler behind harms no other: see ``pytest_runtest_setup``."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager

import pytest
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt

_left: list[AbstractContextManager[None]] = []


def test_one_leaves_the_handler_behind() -> None:
    _left.append(capture_interrupts())
    _left[0].__enter__()
    signal.raise_signal(signal.SIGINT)
    assert check_captured_interrupt()


@pytest.mark.filterwarnings("ignore:before .* interrupts were still taken by capture_interrupts")
def test_the_next_is_interrupted_as_ever() -> None:
    assert not check_captured_interrupt()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    for one in _left:
        one.__exit__(None, None, None)

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from panic_assets.devices.base import Reply
from panic_assets.devices.wire import Done, Progress, Wire
from panic_assets.models.base import Output


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Wire]]:
    here, there = socket.socketpair()
    with here, there:
        yield Wire(here), Wire(there)


def reply(*values: str | np.ndarray) -> Reply:
    now = datetime.now(UTC)
    return Reply([Output(value, frozenset({"truncated_input"})) for value in values], 1.0, 2.0, now, now, "cpu")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pictures=st.lists(arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=9)), max_size=4), text=st.text()
)
def test_what_is_sent_arrives(ends: tuple[Wire, Wire], pictures: list[np.ndarray], text: str) -> None:
    sent = reply(text, *pictures, *(picture[:, ::-1] for picture in pictures))
    ends[0].write(Wire.pack(Done(7, sent)))
    got = ends[1].receive()
    assert got.number == 7
    assert isinstance(got.result.outputs, list)
    assert (got.result.seconds, got.result.started_at) == (sent.seconds, sent.started_at)
    for one, other in zip(got.result.outputs, sent.outputs, strict=True):
        assert one.flags == other.flags
        assert np.array_equal(one.value, other.value)
        assert not isinstance(one.value, np.ndarray) or one.value.flags.writeable


def test_threads_do_not_mix_their_messages(ends: tuple[Wire, Wire]) -> None:
    def send(start: int) -> None:
        for number in range(start, start + 50):
            ends[0].write(Wire.pack(Done(number, reply(np.full((64, 64, 3), number % 251, np.uint8)))))

    threads = [threading.Thread(target=send, args=(start,)) for start in (0, 50, 100)]
    for thread in threads:
        thread.start()
    got = [ends[1].receive() for _ in range(150)]
    for thread in threads:
        thread.join()
    assert sorted(message.number for message in got) == list(range(150))
    assert all((message.result.outputs[0].value == message.number % 251).all() for message in got)


def test_what_cannot_be_packed_leaves_the_wire_whole(ends: tuple[Wire, Wire]) -> None:
    with pytest.raises(Exception, match="pickle"):
        Wire.pack(Done(1, reply(lambda: None)))  # type: ignore[arg-type]
    ends[0].write(Wire.pack(Progress(2, "loading")))
    assert ends[1].receive() == Progress(2, "loading")


def test_the_end_is_noticed(ends: tuple[Wire, Wire]) -> None:
    assert not ends[1].has_news(0)
    ends[0].write(Wire.pack(Progress(2, "computing")))
    ends[0].shut()
    assert ends[1].has_news(0)
    assert ends[1].receive() == Progress(2, "computing")
    with pytest.raises(EOFError):
        ends[1].receive()

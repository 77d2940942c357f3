from __future__ import annotations

import asyncio
import io
import wave
from itertools import product
from typing import Any

import pytest

from panic_assets.lake import images
from panic_assets.live.catalog import load_catalog
from panic_assets.live.media import sniff
from panic_assets.live.platforms.base import LiveModel, PlatformError
from panic_assets.live.platforms.dummy import Dummy
from panic_assets.live.values import Value
from panic_assets_tests.live.platforms.parts import Calls, invoke, model, refused, run, until

MEDIA = ("text", "image", "audio")
CATALOG = load_catalog({})


def given(medium: Any, content: bytes = b"a red boat") -> Value:
    return Value("text", text=content.decode()) if medium == "text" else Value(medium, data=content)


@pytest.mark.parametrize(("takes", "gives"), product(MEDIA, MEDIA))
def test_every_pair_gives_what_can_be_decoded(calls: Calls, takes: str, gives: str) -> None:
    wanted = CATALOG[f"dummy-{takes[0]}2{gives[0]}"]
    assert (wanted.takes, wanted.gives) == (takes, gives)
    got = invoke(Dummy, calls.call(wanted, given(takes)))
    assert got.value.medium == gives
    assert got.cost == 0
    if gives == "text":
        assert got.value.text
        assert len(got.value.text) < 200
        return
    data = got.value.data
    assert data is not None
    assert len(data) < 100_000
    assert got.value.media_type == sniff(data)
    if gives == "image":
        pixels = images.decode(data)
        assert pixels.shape == (96, 96, 3)
        assert images.uniform_or_black(pixels) is None
    else:
        with wave.open(io.BytesIO(data)) as sound:
            assert 0.5 < sound.getnframes() / sound.getframerate() < 2
            assert any(sound.readframes(4000))


@pytest.mark.parametrize(("takes", "gives"), product(MEDIA, MEDIA))
def test_equal_inputs_give_equal_outputs_and_others_do_not(calls: Calls, takes: str, gives: str) -> None:
    wanted = CATALOG[f"dummy-{takes[0]}2{gives[0]}"]
    first, again, other = (
        invoke(Dummy, calls.call(wanted, given(takes, content))).value for content in (b"boat", b"boat", b"bridge")
    )
    assert first == again
    assert first != other


def test_a_ring_of_dummies_goes_on_without_growing(calls: Calls) -> None:
    async def work() -> list[int]:
        dummy, value, lengths = Dummy(), given("text"), []
        for _ in range(30):
            for pair in ("t2i", "i2a", "a2t"):
                value = (await dummy.invoke(calls.call(CATALOG[f"dummy-{pair}"], value))).value
            lengths.append(len(value.text or ""))
        return lengths

    assert max(run(work())) < 100


def test_fails_so_many_times(calls: Calls) -> None:
    wanted = model("dummy", settings={"fail_n_times": 2, "fail_kind": "quota", "retry_after": 3.0})

    async def work() -> None:
        dummy = Dummy()
        for _ in range(2):
            with pytest.raises(PlatformError) as caught:
                await dummy.invoke(calls.call(wanted))
            assert (caught.value.kind, caught.value.retry_after) == ("quota", 3.0)
        assert (await dummy.invoke(calls.call(wanted))).value.text
        assert (await dummy.invoke(calls.call(model("dummy", id="another")))).value.text
        assert list(dummy.started) == calls.begun == ["dummy-1", "dummy-2", "dummy-3", "dummy-4"]

    run(work())


@pytest.mark.parametrize("kind", ["auth", "quota", "moderation", "transient", "invalid", "timeout", "internal"])
def test_always_fails(calls: Calls, kind: str) -> None:
    assert refused(Dummy, calls.call(model("dummy", settings={"always_fail": kind}))).kind == kind


def test_takes_its_time_and_can_be_cancelled_and_resumed(calls: Calls) -> None:
    slow = model("dummy", settings={"delay_seconds": 5.0})
    invoke(Dummy, calls.call(slow))
    assert calls.clock.slept == [5.0]

    async def work(wanted: LiveModel) -> None:
        dummy, held = Dummy(), asyncio.Event()

        async def sleep(seconds: float) -> None:
            await held.wait()

        calls.clock.sleep = sleep  # type: ignore[method-assign]
        task = asyncio.create_task(dummy.invoke(calls.call(wanted)))
        await until(lambda: len(dummy.started) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(dummy.cancelled) == ["dummy-1"]
        held.set()
        assert (await dummy.invoke(calls.call(wanted, resume="dummy-1"))).upstream_id == "dummy-1"
        assert list(dummy.started) == ["dummy-1"], "what is resumed is not begun again"

    run(work(slow))

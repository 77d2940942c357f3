from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import CancelledError as NeverBegun
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from panic_assets.devices.base import Call as DeviceCall
from panic_assets.devices.base import DeviceLost, Reply
from panic_assets.lake import images
from panic_assets.live.catalog import load_catalog
from panic_assets.live.platforms.base import Call, LiveModel, PlatformError
from panic_assets.live.platforms.bench import Bench
from panic_assets.live.platforms.local import Local
from panic_assets.live.values import Value
from panic_assets.models.base import Output
from panic_assets.models.registry import Registry, load_registry
from panic_assets_tests.live.platforms.parts import Calls, invoke, refused, run, until

REGISTRY = load_registry()
CATALOG = load_catalog(REGISTRY)
PICTURE = Value("image", data=images.encode(np.full((32, 32, 3), 90, np.uint8), "png"))
opened = partial(Local, REGISTRY, "cpu")


def with_settings(name: str, **settings: object) -> LiveModel:
    return replace(CATALOG[name], settings=settings)


def test_texts_become_pictures_and_pictures_texts(calls: Calls) -> None:
    drawn = invoke(opened, calls.call(CATALOG["DummyT2I"]))
    assert drawn.value.data is not None
    assert drawn.value.media_type == "image/png"
    assert images.decode(drawn.value.data).shape == (256, 256, 3)
    assert drawn.cost == 0
    told = invoke(opened, calls.call(CATALOG["DummyI2T"], replace(drawn.value, media_type="image/webp")))
    assert told.value.text


def test_the_seed_is_drawn_anew_unless_it_is_set(calls: Calls) -> None:
    free = [invoke(opened, calls.call(CATALOG["DummyT2I"])) for _ in range(3)]
    assert len({one.seed for one in free}) == len({one.value.data for one in free}) == 3
    again = invoke(opened, calls.call(with_settings("DummyT2I", seed=free[0].seed)))
    assert (again.seed, again.value) == (free[0].seed, free[0].value)


def test_a_ring_of_trained_models(calls: Calls) -> None:
    async def work() -> str:
        local = opened()
        value = Value("text", text="a red circle left of a blue square")
        for name in ("TinyScenes", "TinyCaption"):
            value = (await local.invoke(calls.call(CATALOG[name], value))).value
        await local.close()
        return value.text or ""

    assert len(run(work())) > 5


def test_many_networks_share_one_device(calls: Calls) -> None:
    async def work() -> None:
        local = opened()
        names = ["DummyT2I", "DummyT2T"] * 10
        wanted = [calls.call(CATALOG[name], f"prompt {number}") for number, name in enumerate(names)]
        answers = await asyncio.gather(*[local.invoke(call) for call in wanted])
        assert [answer.value.medium for answer in answers] == ["image", "text"] * 10
        assert len({answer.value.data or answer.value.text for answer in answers}) == 20
        await local.close()
        with pytest.raises(PlatformError) as caught:
            await local.invoke(wanted[0])
        assert caught.value.kind == "transient"

    run(work())


def test_parameters_of_the_registry_can_be_others(calls: Calls) -> None:
    got = invoke(opened, calls.call(with_settings("DummyT2I", parameters={"side": 64})))
    assert images.decode(got.value.data or b"").shape == (64, 64, 3)


def drill(name: str, **parameters: object) -> Registry:
    return REGISTRY.with_overrides({name: {"parameters": parameters}})


def call(calls: Calls, name: str, given: Value | str = "a red boat", **values: object) -> Call:
    return calls.call(replace(CATALOG[name], **values), given)  # type: ignore[arg-type]


def test_what_each_failure_means(calls: Calls) -> None:
    broken = Value("image", data=b"no picture")
    failing = partial(Local, drill("DummyT2T", fail_on="red"), "cpu")
    silent = partial(Local, drill("DummyT2T", empty_on="red"), "cpu")
    away = REGISTRY.with_overrides({"TinyScenes": {"source": {"kind": "folder", "path": "not-there"}}})
    seen = {
        "input that is no picture": refused(opened, call(calls, "DummyI2T", broken)),
        "input that was not read": refused(opened, call(calls, "DummyI2T", Value("image", key="a/b.webp"))),
        "model that refuses": refused(failing, call(calls, "DummyT2T")),
        "blank text": refused(silent, call(calls, "DummyT2T")),
        "model that is not there": refused(partial(Local, away, "cpu"), call(calls, "TinyScenes")),
        "model that has no entry": refused(opened, call(calls, "DummyT2T", path="DummyT3T")),
        "other media": refused(opened, call(calls, "DummyT2T", gives="image")),
        "parameter that is none": refused(opened, call(calls, "DummyT2T", settings={"parameters": {"no": 1}})),
        "device that is not there": refused(partial(Local, REGISTRY, "cuda:77"), call(calls, "DummyT2T")),
    }
    assert {what: error.kind for what, error in seen.items()} == {
        "input that is no picture": "invalid",
        "input that was not read": "internal",
        "model that refuses": "invalid",
        "blank text": "invalid",
        "model that is not there": "internal",
        "model that has no entry": "internal",
        "other media": "invalid",
        "parameter that is none": "internal",
        "device that is not there": "internal",
    }
    assert "DummyT2T" in str(seen["model that has no entry"]), "the nearest name"


def faults(monkeypatch: pytest.MonkeyPatch, folder: Path, **of_models: object) -> None:
    path = folder / "faults.json"
    path.write_text(json.dumps(of_models))
    monkeypatch.setenv("PANIC_FAULTS", str(path))


@pytest.mark.parametrize(
    ("fault", "kind"), [("out_of_memory", "transient"), ("non_finite", "transient"), ("load_error", "internal")]
)
def test_faults_of_devices(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str, kind: str
) -> None:
    faults(monkeypatch, tmp_path, DummyT2I={"kind": fault})
    assert refused(opened, call(calls, "DummyT2I")).kind == kind


def test_a_device_that_hangs_or_dies_is_there_again(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In processes of their own, which are ended and started again; each of the two is struck once."""
    strikes = [{"kind": "die", "on": "death", "times": 1}, {"kind": "hang", "on": "hang", "times": 1}]
    faults(monkeypatch, tmp_path, DummyT2T=strikes)

    async def work() -> list[str]:
        local, kinds = Local(REGISTRY, "2*cpu"), []
        for prompt, seconds in (("sudden death", 60.0), ("a long hang", 3.0)):
            try:
                await local.invoke(call(calls, "DummyT2T", prompt, timeout_seconds=seconds))
            except PlatformError as error:
                kinds.append(error.kind)
            assert (await local.invoke(call(calls, "DummyT2T", prompt))).value.text
        await local.close()
        return kinds

    assert run(work()) == ["transient", "timeout"]


class HeldDevice:
    """A device that answers when it is let go, and notes what it was asked for."""

    name, hardware, capacity_gb, lanes = "held", "cpu", None, 1

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked: list[str] = []

    def call(self, call: DeviceCall) -> Reply:
        self.asked.append(str(call.inputs[0]))
        assert self.let_go.wait(20)
        now = datetime.now(UTC)
        return Reply([Output("x")], 0.0, 0.0, now, now, "cpu", {call.entry.load_identity: 0.0})

    def close(self) -> None:
        self.let_go.set()


def asked(text: str) -> DeviceCall:
    return DeviceCall(REGISTRY["DummyT2T"], (text,), (0,))


def test_what_is_cancelled_in_the_queue_is_never_computed() -> None:
    device = HeldDevice()
    bench = Bench(device)
    told = [bench.put(asked(text)) for text in ("first", "second", "third")]
    run(until(lambda: device.asked == ["first"], "first"))
    assert told[1].cancel()
    assert not told[0].cancel(), "it has begun"
    assert bench.load(REGISTRY["DummyT2T"].load_identity)[1] == 3
    device.let_go.set()
    assert [one.result(20).outputs for one in (told[0], told[2])] == [[Output("x")]] * 2
    assert device.asked == ["first", "third"]
    with pytest.raises(NeverBegun):
        told[1].result(0)
    bench.close()


def test_a_bench_that_is_closed_lets_all_go_on() -> None:
    device = HeldDevice()
    bench = Bench(device)
    told: list[Future[Reply]] = [bench.put(asked(text)) for text in ("first", "second")]
    run(until(lambda: device.asked == ["first"], "first"))
    bench.close()
    with pytest.raises(DeviceLost):
        told[1].result(20)
    device.let_go.set()
    assert told[0].result(20).outputs
    with pytest.raises(DeviceLost):
        bench.put(asked("third"))

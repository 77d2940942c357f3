"""Devices on a real Ray cluster of this machine: one cluster for all tests, of three workers and their processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.devices.base import Call, CallTimedOut, Device, DeviceLost, Reply, fault_of
from panic_assets.devices.local import LocalDevice
from panic_assets.errors import PanicError
from panic_assets.loop.dispatch import Dispatcher, Incident, Request
from panic_assets.models.adapters.faults import OutOfMemoryError
from panic_assets.models.entry import Medium, ModelEntry
from panic_assets.models.errors import ModelCallError
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import load_registry
from panic_assets_tests.drills import Drill
from panic_assets_tests.models import tiny

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'panic-assets[cluster]'")

from panic_assets.devices import cluster  # noqa: E402
from panic_assets.devices.cluster import Needs, Options, RayDevice, open_ray, parse, plan  # noqa: E402

# With pytest-xdist one process takes them all, so that there is one cluster.
pytestmark = pytest.mark.xdist_group("ray")

REGISTRY = load_registry()
TEXTS = ("a dog", "a cat", "a boat", "a house")
NO_CPUS = Needs(gpus=0, cpus=0, neighbours=4)


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def drills(tmp_path_factory: pytest.TempPathFactory, monkeypatch_module: pytest.MonkeyPatch) -> Drill:
    """The faults' file, named before the cluster starts: its processes inherit the name."""
    return Drill(tmp_path_factory.mktemp("drill"), monkeypatch_module)


@pytest.fixture(scope="module")
def opened(drills: Drill, monkeypatch_module: pytest.MonkeyPatch) -> Iterator[list[Device]]:
    monkeypatch_module.delenv("RAY_ADDRESS", raising=False)
    environment, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    devices = open_ray("address=local,workers=3,cpus=1", None, None)
    assert signal.getsignal(signal.SIGTERM) is handler
    pids = [pid_of(device) for device in devices]
    yield devices
    for device in devices:
        device.close()
        device.close()
    assert not ray.is_initialized()
    assert rays(os.environ) == rays(environment)
    wait_until(lambda: not any(is_alive(pid) for pid in pids))
    with pytest.raises(PanicError, match="not connected"):
        RayDevice("ray", NO_CPUS)


@pytest.fixture
def devices(opened: list[Device], drills: Drill) -> Iterator[list[Device]]:
    drills.order()
    yield opened
    drills.order()


@pytest.fixture
def drill(drills: Drill, devices: list[Device]) -> Drill:
    for tally in drills.file.parent.glob("*.tally"):
        tally.unlink()
    return drills


def call(name: str | ModelEntry, *inputs: Any, modality: Medium | None = None, **more: Any) -> Call:
    entry = REGISTRY[name] if isinstance(name, str) else name
    seeds = tuple(range(len(inputs))) if modality is None else ()
    return Call(entry, inputs, seeds, modality, **{"limit_seconds": 20.0, **more})  # so that no defect hangs the tests


def values(reply: Reply) -> list[Any]:
    return [getattr(output, "value", output) for output in reply.outputs]


def same(first: Reply, second: Reply) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(values(first), values(second), strict=True))


def rays(environment: Mapping[str, str]) -> dict[str, str]:
    """What Ray sets for itself."""
    return {key: value for key, value in environment.items() if key.startswith(("RAY_", "PYTHON"))}


def pid_of(device: Device) -> int:
    assert isinstance(device, RayDevice)
    assert device.place is not None
    return device.place.pid


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def wait_until(condition: Any, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not so within {seconds} s"
        time.sleep(0.02)


def in_background(device: Device, what: Call) -> Future[Reply]:
    threads = ThreadPoolExecutor(1)
    future = threads.submit(device.call, what)
    threads.shutdown(wait=False)
    return future


def store_bytes() -> float:
    return float(ray.cluster_resources()["object_store_memory"] - ray.available_resources()["object_store_memory"])


# What needs no cluster.


def test_words() -> None:
    assert parse("") == Options()
    assert parse(" address=auto , workers=4,cpus=2,wait=1.5") == Options("auto", 4, 2, 1.5)
    assert parse("address=head:6379").address == "head:6379"


@pytest.mark.parametrize(
    "rest", ["auto", "workers=", "workers=0", "workers=two", "gpus=1", "workers=1,workers=2", "wait=inf", "cpus=-1"]
)
def test_words_that_are_none(rest: str) -> None:
    with pytest.raises(PanicError, match="is not possible; give"):
        parse(rest)


def test_a_client_outside_of_the_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PanicError, match="run panic on a host of the cluster"):
        parse("address=ray://head:10001")
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(PanicError, match="run panic on a host of the cluster"):
        parse("")


@pytest.mark.parametrize(
    ("options", "hosts", "expected"),
    [
        (Options(), [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 64.0, "GPU": 4.0}], (6, Needs(1, 0, 4))),
        (Options(workers=3, cpus=2), [{"CPU": 8.0, "GPU": 4.0}], (3, Needs(1, 2, 4))),
        (Options(), [{"CPU": 16.0}, {"CPU": 2.0}, {}], (2, Needs(0, 8, 1))),
        (Options(), [{"CPU": 4.0}, {"CPU": 4.0}], (2, Needs(0, 4, 1))),
        (Options(workers=3), [{"CPU": 3.0}], (3, Needs(0, 1, 1))),
        (Options(workers=3, cpus=2), [{"CPU": 5.0}, {"CPU": 2.0}], (3, Needs(0, 2, 1))),
    ],
)
def test_every_device_has_its_place(options: Options, hosts: list[dict[str, float]], expected: Any) -> None:
    assert plan(options, hosts) == expected


@pytest.mark.parametrize(
    ("options", "hosts"),
    [
        (Options(workers=3), [{"CPU": 8.0, "GPU": 2.0}]),
        (Options(workers=3), [{"CPU": 2.0}]),
        (Options(workers=3, cpus=2), [{"CPU": 3.0}, {"CPU": 3.0}]),
        (Options(), []),
    ],
)
def test_a_cluster_that_is_too_small(options: Options, hosts: list[dict[str, float]]) -> None:
    with pytest.raises(PanicError, match=r"give (no more|fewer)"):
        plan(options, hosts)


# What does.


def test_three_processes_that_are_devices(devices: list[Device]) -> None:
    assert [device.name for device in devices] == ["ray 1", "ray 2", "ray 3"]
    assert all(isinstance(device, Device) for device in devices)
    assert len({pid_of(device) for device in devices} - {os.getpid()}) == 3
    assert {(device.hardware, device.capacity_gb, device.lanes) for device in devices} == {("cpu", None, 1)}


def test_the_same_as_a_local_device(devices: list[Device], tmp_path: Path) -> None:
    pictures = tuple(tiny.pictures(4))
    model = REGISTRY["STSBMpnet"]
    embedder = tiny.entry(model, tiny.build(tiny.checkpoint_of(model), tmp_path / "tiny"), dimension=32)
    calls = [
        call("DummyT2I", *TEXTS),
        call("DummyI2T", *pictures),
        call("DummyVision", *pictures, modality="image"),
        call(embedder, *TEXTS, modality="text"),
    ]
    local = LocalDevice(ModelPool("cpu"))
    for number, one in enumerate(calls):
        far = devices[number % 3].call(one)
        assert same(far, local.call(one)), one.entry.name
        assert far.device == "cpu"
        assert set(far.resident) >= {one.entry.load_identity}
        assert all(value.flags.writeable for value in values(far) if isinstance(value, np.ndarray))


def test_errors_come_back_as_themselves(devices: list[Device], drill: Drill) -> None:
    failing = REGISTRY["DummyT2T"].with_overrides({"parameters": {"fail_on": "cat"}})
    with pytest.raises(ModelCallError, match="fails on purpose") as caught:
        devices[0].call(call(failing, *TEXTS))
    assert any("dummies.py" in note for note in caught.value.__notes__)
    drill.order(DummyT2T={"kind": "out_of_memory", "at_batch": 2})
    with pytest.raises(OutOfMemoryError) as full:
        devices[0].call(call("DummyT2T", *TEXTS))
    assert fault_of(full.value) == "out_of_memory"
    assert devices[0].call(call("DummyT2T", "a dog"))


@pytest.mark.parametrize("kind", ["die", "poisoned"])
def test_a_lost_worker_process_costs_one_call(devices: list[Device], drill: Drill, kind: str) -> None:
    drill.order(DummyT2T={"kind": kind, "times": 1})
    pid = pid_of(devices[1])
    with pytest.raises(DeviceLost, match=r"ray 2 on .*The next call starts another") as caught:
        devices[1].call(call("DummyT2T", "a dog"))
    assert fault_of(caught.value) == "device_lost"
    assert devices[1].call(call("DummyT2T", "a dog"))
    assert pid_of(devices[1]) == pid  # the actor stayed where it is


def test_a_call_that_hangs_is_ended(devices: list[Device], drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "hang", "times": 1})
    with pytest.raises(CallTimedOut, match=r"longer than 0\.5 s"):
        devices[1].call(call("DummyT2T", "a dog", limit_seconds=0.5))
    assert devices[1].call(call("DummyT2T", "a dog", limit_seconds=30.0))


def test_a_killed_actor_costs_one_call(devices: list[Device], drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "hang", "on": "dog", "times": 1})
    pid = pid_of(devices[2])
    hanging = in_background(devices[2], call("DummyT2T", "a dog"))
    drill.wait_until_struck("DummyT2T")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DeviceLost, match=f"lost a call of DummyT2T with 1 inputs, and with it the process {pid}"):
        hanging.result(60.0)
    for device in devices[:2]:
        assert device.call(call("DummyT2T", "a cat"))
    reply = devices[2].call(call("DummyT2T", "a dog"))
    assert pid_of(devices[2]) != pid
    assert same(reply, LocalDevice().call(call("DummyT2T", "a dog")))


def test_the_others_do_the_work_of_a_killed_actor(devices: list[Device], drill: Drill) -> None:
    """A dispatcher over three devices, one of which is killed mid-call: every answer is there, and the same."""
    drill.order(DummyT2T={"kind": "hang", "on": "text 17", "times": 1})
    wanted = [Request(number, f"text {number}", seed=number) for number in range(40)]
    answers: dict[int, Any] = {}
    incidents: list[Incident] = []
    pids = {pid_of(device) for device in devices}
    with Dispatcher(devices, {"DummyT2T": REGISTRY["DummyT2T"].with_overrides({"batch": 4})}) as dispatcher:
        dispatcher.submit("DummyT2T", wanted)
        drill.wait_until_struck("DummyT2T")
        stuck = [device for device in devices if isinstance(device, RayDevice) and device._under_way]
        wait_until(lambda: sum(device._under_way for device in stuck) == 1)
        (victim,) = [device for device in stuck if device._under_way]
        os.kill(pid_of(victim), signal.SIGKILL)
        while len(answers) < len(wanted):
            came = dispatcher.come()
            if isinstance(came, Incident):
                incidents.append(came)
            else:
                answers |= {answer.key: answer.output.value for answer in came}
    assert [incident.kind for incident in incidents] == ["device_lost"]
    expected = LocalDevice().call(call("DummyT2T", *(str(request.value) for request in wanted)))
    assert [answers[number] for number in range(40)] == values(expected)
    assert len({pid_of(device) for device in devices} - pids) <= 1


def test_a_process_that_stops_answering_is_ended(devices: list[Device], drill: Drill) -> None:
    device = RayDevice("silent", NO_CPUS, limit_seconds=0.3, loading_seconds=20.0, grace_seconds=0.5)
    try:
        assert device.call(call("DummyT2T", "a dog"))
        pid = pid_of(device)
        device._loading_seconds = 0.2
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(CallTimedOut, match=rf"silent: .* was not answered within 1 s by the process {pid}"):
            device.call(call("DummyT2T", "a dog", limit_seconds=0.3))
        wait_until(lambda: not is_alive(pid))
        device._loading_seconds = 20.0
        assert device.call(call("DummyT2T", "a dog"))
    finally:
        device.close()


def test_without_room_in_the_cluster_a_device_is_lost(devices: list[Device]) -> None:
    device = RayDevice("late", Needs(0, 1, 1), wait_seconds=0.5)  # the three have all the CPUs
    try:
        for _ in range(2):
            with pytest.raises(DeviceLost, match=r"late: the cluster did not have 0 GPUs and 1 CPUs .* within 0.5 s"):
                device.call(call("DummyT2T", "a dog"))
    finally:
        device.close()


def test_lanes_compute_at_once_and_closing_ends_them(devices: list[Device], drill: Drill) -> None:
    device = RayDevice("wide", NO_CPUS, lanes=2)
    try:
        drill.order(DummyT2T={"kind": "hang", "times": 1})
        hanging = in_background(device, call("DummyT2T", "a dog"))
        drill.wait_until_struck("DummyT2T")
        # Of other weights: calls of the same wait for one another.
        assert device.call(call("DummyText", "a dog", modality="text", limit_seconds=5.0))
        assert not hanging.done()
        pid = pid_of(device)
    finally:
        device.close()
    with pytest.raises(DeviceLost):
        hanging.result(10.0)
    wait_until(lambda: not is_alive(pid))
    with pytest.raises(PanicError, match="closed; open another one"):
        device.call(call("DummyT2I", "a dog"))


def test_nothing_stays_in_the_store(devices: list[Device]) -> None:
    """In sum the calls send and get twice what the store has room for."""
    wide = REGISTRY["DummyT2I"].with_overrides({"parameters": {"side": 1024}})
    picture = np.zeros((1024, 1024, 3), np.uint8)
    kept = []
    for number in range(25):
        kept.append(devices[number % 3].call(call(wide, *TEXTS)).outputs)
        devices[number % 3].call(call("DummyI2T", *[picture] * 4))
    sent = 25 * 2 * 4 * picture.nbytes
    assert sent > 2 * ray.cluster_resources()["object_store_memory"]
    wait_until(lambda: store_bytes() == 0)
    assert len(kept) == 25


def test_a_second_opening_uses_the_same_cluster(devices: list[Device]) -> None:
    with pytest.raises(PanicError, match="do not fit"):
        open_ray("address=local,workers=64", None, None)
    assert ray.is_initialized()
    assert devices[0].call(call("DummyT2T", "a dog"))


def test_there_must_be_a_cluster_for_auto(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from panic_assets.devices.cluster_connection import Connection

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    with pytest.raises(PanicError, match="start one with ray start --head"):
        Connection().open("auto", 1)

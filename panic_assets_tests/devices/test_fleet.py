from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from panic_assets.devices import fleet
from panic_assets.devices.base import Call, Device
from panic_assets.devices.fleet import Fleet, open_devices, parse
from panic_assets.devices.hardware import Accelerators, accelerators, may_have_accelerator, usable_cores
from panic_assets.devices.local import LocalDevice
from panic_assets.devices.process import ProcessDevice
from panic_assets.errors import PanicError
from panic_assets.models.registry import load_registry

ENTRY = load_registry()["DummyT2T"]


def has(cuda: int = 0, mps: bool = False) -> Callable[[], Accelerators]:
    return lambda: Accelerators(cuda, mps)


def never() -> Accelerators:
    raise AssertionError("asked without need")


@pytest.mark.parametrize(
    ("spec", "available", "expected"),
    [
        ("auto", has(), ["cpu"]),
        ("auto", has(mps=True), ["mps"]),
        ("auto", has(cuda=2), ["cuda:0", "cuda:1"]),
        ("cpu", never, ["cpu"]),
        (" 3*cpu ", never, ["cpu"] * 3),
        ("cuda", has(cuda=2), ["cuda:0", "cuda:1"]),
        ("cuda:1,cuda:0", has(cuda=2), ["cuda:1", "cuda:0"]),
        ("cuda:0, 2*cpu", has(cuda=1), ["cuda:0", "cpu", "cpu"]),
        ("mps", has(mps=True), ["mps"]),
    ],
)
def test_specifications(spec: str, available: Callable[[], Accelerators], expected: list[str]) -> None:
    assert parse(spec, available) == expected


@pytest.mark.parametrize(
    ("spec", "available", "remedy"),
    [
        ("", never, "such are auto, cpu"),
        ("gpu", never, "'gpu' in 'gpu' is not known; such are auto"),
        ("cpu,auto", never, "'auto' in 'cpu,auto'"),
        ("0*cpu", never, "such are"),
        ("cpu:1", never, "such are"),
        ("2*cuda:0", has(cuda=1), "only cpu can be had several times"),
        ("cpu,cpu", never, r"write 2\*cpu"),
        ("cuda,cuda:0", has(cuda=1), "names cuda:0 twice"),
        ("cuda", has(), "cpu is always there"),
        ("cuda:2", has(cuda=2), "there are cuda:0, cuda:1"),
        ("mps", has(cuda=1), "cpu is always there"),
    ],
)
def test_bad_specifications_name_the_remedy(spec: str, available: Callable[[], Accelerators], remedy: str) -> None:
    with pytest.raises(PanicError, match=remedy):
        parse(spec, available)


def test_a_single_cpu_computes_here() -> None:
    with open_devices("cpu", capacity_gb=2.0) as opened:
        (device,) = opened.devices
        assert isinstance(device, LocalDevice)
        assert (device.name, device.capacity_gb, device.lanes) == ("cpu", 2.0, 1)


def test_isolation_and_lanes() -> None:
    with open_devices("cpu", isolation="process", lanes=3, capacity_gb=2.0) as opened:
        (device,) = opened.devices
        assert isinstance(device, ProcessDevice)
        assert (device.name, device.capacity_gb, device.lanes) == ("cpu", 2.0, 3)
    with open_devices("2*cpu", isolation="none") as opened:
        assert [type(device) for device in opened.devices] == [LocalDevice, LocalDevice]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
def test_two_processes_share_the_cores() -> None:
    with open_devices("2*cpu") as opened:
        assert [device.name for device in opened.devices] == ["cpu 1", "cpu 2"]
        for device in opened.devices:
            device.call(Call(ENTRY, ("a",), (0,)))
        processes = [device for device in opened.devices if isinstance(device, ProcessDevice)]
        pids = {device.pid for device in processes}
        assert len(pids) == 2
        for pid in pids:
            assert f"OMP_NUM_THREADS={max(1, usable_cores() // 2)}" in Path(f"/proc/{pid}/environ").read_text()
    assert [device.pid for device in processes] == [None, None]
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.skipif(may_have_accelerator(), reason="for machines without a GPU")
def test_what_this_machine_does_not_have() -> None:
    assert accelerators() == Accelerators()
    with open_devices("auto") as opened:
        assert [device.name for device in opened.devices] == ["cpu"]
    with pytest.raises(PanicError, match="torch sees no CUDA device here"):
        open_devices("cuda")
    device = ProcessDevice("cuda:0")
    with pytest.raises(PanicError, match="cuda:0: torch sees 0 CUDA devices here; name one of those, or use another"):
        _ = device.capacity_gb
    device.close()


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"lanes": 0}, "give 1 or more"), ({"capacity_gb": 0}, "give the GiB"), ({"isolation": "all"}, "none or process")],
)
def test_bad_options_name_the_remedy(options: dict, remedy: str) -> None:
    with pytest.raises(PanicError, match=remedy):
        open_devices("cpu", **options)


def test_devices_that_are_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first word finds the opener, which gets the rest, commas and colons included."""
    far = LocalDevice(name="far")
    asked: list[tuple[str, float | None, int | None]] = []

    def open_far(rest: str, capacity_gb: float | None, lanes: int | None) -> list[Device]:
        asked.append((rest, capacity_gb, lanes))
        return [far]

    module = ModuleType("far_devices")
    module.open_far = open_far  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "far_devices", module)
    monkeypatch.setitem(fleet.OPENERS, "far", "far_devices:open_far")
    monkeypatch.setitem(fleet.OPENERS, "gone", "no_such_module:opener")
    with open_devices("far:host:80,x=1", capacity_gb=4.0) as opened:
        assert opened.devices == [far]
    with open_devices("far", lanes=2):
        pass
    assert asked == [("host:80,x=1", 4.0, None), ("", None, 2)]
    with pytest.raises(PanicError, match="gone can't be had, since no_such_module is not installed"):
        open_devices("gone:x")


def test_a_fleet_closes_all_even_if_one_fails() -> None:
    class Broken(LocalDevice):
        def close(self) -> None:
            raise OSError("no")

    sound = [LocalDevice(name=name) for name in ("first", "last")]
    with pytest.raises(OSError, match="no"):
        Fleet([sound[0], Broken(), sound[1]]).close()
    for device in sound:
        with pytest.raises(PanicError, match="closed"):
            device.call(Call(ENTRY, ("a",), (0,)))


def test_opening_needs_no_torch() -> None:
    script = "import sys; from panic_assets.devices.fleet import open_devices; open_devices('2*cpu').close()"
    script += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.devices import reaching, shared_wire
from panic_assets.devices.base import Call, CallTimedOut, Device, DeviceLost, Reply
from panic_assets.devices.door import Door
from panic_assets.devices.fleet import open_devices
from panic_assets.devices.local import LocalDevice
from panic_assets.devices.reaching import status, stop
from panic_assets.devices.server import Server, shorten
from panic_assets.devices.shared import open_shared
from panic_assets.devices.wire import Wire
from panic_assets.errors import PanicError
from panic_assets.models.adapters.faults import OutOfMemoryError
from panic_assets.models.errors import ModelCallError, ModelLoadError
from panic_assets.models.registry import load_registry
from panic_assets_tests.devices import clients
from panic_assets_tests.drills import Drill

REGISTRY = load_registry()
WAIT = 30.0


def call(name: str, *inputs: Any, limit: float | None = None) -> Call:
    entry = REGISTRY[name]
    if entry.kind == "embedder":
        return Call(entry, inputs, modality="text" if isinstance(inputs[0], str) else "image", limit_seconds=limit)
    return Call(entry, inputs, tuple(range(len(inputs))), limit_seconds=limit)


def wait_until(what: Callable[[], Any]) -> Any:
    until = time.monotonic() + WAIT
    while not (value := what()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)
    return value


def in_thread(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function, *arguments)
    pool.shutdown(wait=False)
    return future


@pytest.fixture
def drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drill:
    return Drill(tmp_path, monkeypatch)


@pytest.fixture
def lab(data: Path, drill: Drill) -> Iterator[Path]:
    """A data directory whose server can be asked for faults, and is ended after the test."""
    yield data
    stop(data)


@pytest.fixture
def open_cpu(lab: Path) -> Iterator[Callable[..., Device]]:
    """Opens the one device of the server, as one more client each time."""
    opened: list[Device] = []

    def opener(idle_seconds: float = 60.0, lanes: int | None = None) -> Device:
        devices = open_shared("cpu", None, lanes, idle_seconds=idle_seconds)
        opened.extend(devices)
        assert len(devices) == 1
        return devices[0]

    yield opener
    for device in opened:
        device.close()


class Client:
    """Another process that uses the devices."""

    def __init__(self, name: str, calls: int = 1, threads: int = 1, text: str = "a text") -> None:
        command = [sys.executable, "-m", clients.__name__, name, str(calls), str(threads), text]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def until_ready(self) -> Client:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        return self

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def outputs(self) -> list[str]:
        assert self.process.stdout is not None
        return list(json.loads(self.process.stdout.readline()))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def count_loads(drill: Drill, name: str) -> Callable[[], int]:
    """A fault of loading that has struck as often as it may: from now on it only counts."""
    tally = drill.file.with_name("loads")
    tally.write_bytes(b".")
    drill.order(**{name: {"kind": "load_error", "times": 1, "tally": str(tally)}})
    return lambda: tally.stat().st_size - 1


def server_pid(data: Path) -> int:
    found = status(data)
    assert found is not None
    return found.pid


def test_outputs_are_those_of_a_local_device(open_cpu: Callable[..., Device]) -> None:
    device, local = open_cpu(), LocalDevice()
    assert (device.name, device.hardware, device.capacity_gb, device.lanes) == ("cpu", "cpu", None, 1)
    assert isinstance(device, Device)
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for wanted in (call("DummyT2I", "a", "b"), call("DummyI2T", picture, picture[:, ::-1])):
        reply, expected_reply = device.call(wanted), local.call(wanted)
        for one, other in zip(reply.outputs, expected_reply.outputs, strict=True):
            assert np.array_equal(one.value, other.value)
        assert reply.resident.keys() == {wanted.entry.load_identity}
    embedder = next(name for name, entry in REGISTRY.items() if "Dummy" in name and entry.kind == "embedder")
    got, expected = (one.call(call(embedder, "a")).outputs for one in (device, local))
    assert np.array_equal(np.asarray(got), np.asarray(expected))


def test_processes_share_a_loaded_model(lab: Path, drill: Drill, open_cpu: Callable[..., Device]) -> None:
    loads = count_loads(drill, "DummyT2T")
    first = open_cpu()
    with Client("DummyT2T", 8, 4) as one, Client("DummyT2T", 8, 4) as other:
        for client in (one, other):
            client.until_ready().begin()
        outputs = one.outputs()
        assert other.outputs() == outputs
        assert first.call(call("DummyT2T", "a text 0")).outputs[0].value == outputs[0]
        found = status(lab)
        assert found is not None
        assert {client.pid for client in found.clients} == {os.getpid(), one.process.pid, other.process.pid}
        assert [(device.facts.name, device.calls, device.failed) for device in found.devices] == [("cpu", 17, 0)]
        assert list(found.devices[0].resident) == ["DummyT2T"]
    assert loads() == 1


def test_starters_at_the_same_time_give_one_server(lab: Path) -> None:
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(Client("DummyT2T")) for _ in range(3)]
        for client in started:
            client.until_ready()
        found = status(lab)
        assert found is not None
        assert {client.pid for client in found.clients} == {client.process.pid for client in started}
        assert (lab / ".devices" / "server.log").read_text().count("serves cpu") == 1


class Slow:
    """A device that takes its time and tells what it was given. Calls begin when the gate is open."""

    name, hardware, capacity_gb, lanes = "cpu", "cpu", None, 1

    def __init__(self, seconds: float) -> None:
        self.given: list[str] = []
        self.gate = threading.Event()
        self._seconds, self._local = seconds, LocalDevice()

    def call(self, call: Call) -> Reply:
        self.gate.wait(WAIT)
        self.given.append(call.inputs[0])
        time.sleep(self._seconds)
        return self._local.call(call)

    def close(self) -> None:
        self._local.close()


@contextlib.contextmanager
def serving(data: Path, device: Device) -> Iterator[Server]:
    """A server in this process, so that the test sees what its device is given."""
    door = Door(data)
    with door.held(0), ThreadPoolExecutor(1) as pool:
        server = Server([device], door, spec="cpu")
        end = pool.submit(server.run)
        wait_until(door.notice)
        try:
            yield server
        finally:
            server.stop("the test is over")
            end.result(WAIT)


def test_a_big_experiment_does_not_starve_a_small_one(data: Path) -> None:
    slow = Slow(0.01)
    with (
        serving(data, slow) as server,
        Client("DummyT2T", 60, 30, "big") as big,
        Client("DummyT2T", 5, 1, "small") as small,
    ):
        big.until_ready().begin()
        small.until_ready()
        wait_until(lambda: server.status().devices[0].waiting == 29)
        small.begin()
        wait_until(lambda: server.status().devices[0].waiting == 30)
        slow.gate.set()
        assert len(small.outputs()) == 5
        assert len(big.outputs()) == 60
    places = [place for place, text in enumerate(slow.given) if text.startswith("small")]
    assert len(places) == 5
    # Between two calls of the small one, the big one has one in turn, and one while the small one gets its answer;
    # a busy machine may take longer over that. Without turns, 25 of the big one's would come first.
    assert places[0] <= 2
    assert places[-1] <= 25


def test_a_killed_client_loses_its_own_calls_only(data: Path) -> None:
    slow = Slow(0.0)
    with serving(data, slow) as server:
        with Client("DummyT2T", 10, 10, "killed") as killed, Client("DummyT2T", 3, 3, "other") as other:
            for client in (killed, other):
                client.until_ready().begin()
            wait_until(lambda: server.status().devices[0].waiting == 12)
            killed.process.send_signal(signal.SIGKILL)
            wait_until(lambda: len(server.status().clients) == 1)
            slow.gate.set()
            assert len(other.outputs()) == 3
            assert server.status().devices[0].waiting == 0
        wait_until(lambda: not server.status().clients)
    assert sum(text.startswith("killed") for text in slow.given) <= 1, "the one that had begun"


def test_an_interrupted_call_is_withdrawn(data: Path) -> None:
    slow = Slow(0.0)
    with serving(data, slow) as server, open_devices("shared:cpu") as fleet:
        first = in_thread(fleet.devices[0].call, call("DummyT2T", "first"))
        wait_until(lambda: server.status().devices[0].computing == 1)
        arrived = threading.Event()
        threading.Thread(target=_interrupt_until, args=(arrived,)).start()
        with pytest.raises(KeyboardInterrupt):
            fleet.devices[0].call(call("DummyT2T", "interrupted"))
        arrived.set()
        wait_until(lambda: server.status().devices[0].waiting == 0)
        slow.gate.set()
        assert first.result(WAIT).outputs
        assert fleet.devices[0].call(call("DummyT2T", "last")).outputs
    assert slow.given == ["first", "last"]


def _interrupt_until(arrived: threading.Event) -> None:
    """Again if need be: an interrupt that comes in the middle of a destructor is lost."""
    while not arrived.wait(1.0):
        os.kill(os.getpid(), signal.SIGINT)


def test_errors_come_back_as_themselves(drill: Drill, open_cpu: Callable[..., Device]) -> None:
    device = open_cpu()
    drill.order(DummyT2T=[{"kind": "load_error", "times": 1}, {"kind": "out_of_memory", "times": 1}])
    with pytest.raises(ModelLoadError) as caught:
        device.call(call("DummyT2T", "a"))
    assert any("strike_at_load" in note for note in caught.value.__notes__), "the far traceback"
    with pytest.raises(OutOfMemoryError):
        device.call(call("DummyT2T", "a"))
    failing = REGISTRY["DummyT2T"].with_overrides({"parameters": {"fail_on": "bad"}})
    with pytest.raises(ModelCallError, match="fails on purpose"):
        device.call(Call(failing, ("bad",), (0,)))
    assert device.call(call("DummyT2T", "a")).outputs


def test_a_lost_device_is_lost_to_the_clients_that_it_computed_for(
    drill: Drill, lab: Path, open_cpu: Callable[..., Device]
) -> None:
    one, other = open_cpu(), open_cpu()
    pid = server_pid(lab)
    drill.order(DummyT2T=[{"kind": "die", "on": "die", "times": 1}, {"kind": "hang", "on": "hang", "times": 1}])
    with pytest.raises(DeviceLost):
        one.call(call("DummyT2T", "die"))
    assert other.call(call("DummyT2T", "calm")).outputs
    hanging = in_thread(one.call, call("DummyT2T", "hang", limit=0.5))
    wait_until(lambda: drill.struck("DummyT2T", 1))
    queued = in_thread(other.call, call("DummyT2T", "queued"))
    with pytest.raises(CallTimedOut):
        hanging.result(WAIT)
    assert queued.result(WAIT).outputs, "what only waited is computed by the device's next process"
    assert server_pid(lab) == pid


def test_a_killed_server_is_replaced(drill: Drill, lab: Path, open_cpu: Callable[..., Device]) -> None:
    drill.order(DummyT2T={"kind": "hang", "on": "hang", "times": 1})
    device, expected = open_cpu(), LocalDevice().call(call("DummyT2T", "calm")).outputs
    pid = server_pid(lab)
    running = in_thread(device.call, call("DummyT2T", "hang"))
    drill.wait_until_struck("DummyT2T")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DeviceLost, match=f"pid {pid}"):
        running.result(WAIT)
    assert Door(lab).notice() is not None, "it left its notice behind"
    assert status(lab) is None
    assert device.call(call("DummyT2T", "calm")).outputs == expected
    assert server_pid(lab) != pid


def test_it_ends_when_nobody_needs_it(lab: Path, open_cpu: Callable[..., Device]) -> None:
    device = open_cpu(idle_seconds=0.3)
    address = Door(lab).notice()
    assert address is not None
    time.sleep(1.0)
    assert device.call(call("DummyT2T", "a")).outputs, "a client that is silent is a client"
    device.close()
    wait_until(lambda: Door(lab).holder() is None)
    assert Door(lab).notice() is None
    assert not Path(address.address).exists()
    with pytest.raises(PanicError, match="closed"):
        device.call(call("DummyT2T", "a"))


def test_stop_and_status(lab: Path, open_cpu: Callable[..., Device]) -> None:
    assert status(lab) is None
    assert stop(lab) is None
    device = open_cpu()
    pid = server_pid(lab)
    assert stop(lab) == pid
    assert status(lab) is None
    assert device.call(call("DummyT2T", "a")).outputs
    assert server_pid(lab) != pid


def test_a_server_that_hangs_is_killed(lab: Path, open_cpu: Callable[..., Device]) -> None:
    open_cpu()
    pid = server_pid(lab)
    os.kill(pid, signal.SIGSTOP)
    assert stop(lab, seconds=0.5) == pid
    assert Door(lab).holder() is None


def test_why_it_does_not_start_is_told(lab: Path) -> None:
    with pytest.raises(PanicError, match="cuda:7"):
        open_shared("cuda:7", None, None)
    with pytest.raises(PanicError, match="shared:cuda:0"):
        open_shared("shared:cpu", None, None)
    assert Door(lab).holder() is None


def test_other_words_than_those_of_the_server_are_told_of(open_cpu: Callable[..., Device]) -> None:
    open_cpu()
    with pytest.warns(UserWarning, match="has 'cpu', not '2\\*cpu'"):
        devices = open_shared("2*cpu", None, None)
    assert [device.name for device in devices] == ["cpu"]
    devices[0].close()


def test_a_server_of_older_code_makes_room(
    lab: Path, open_cpu: Callable[..., Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_cpu()
    old = server_pid(lab)
    with monkeypatch.context() as patch:
        patch.setattr(reaching, "code_mark", lambda: "newer")
        with pytest.raises(PanicError, match=f"pid {old}.*{os.getpid()} use it"):
            open_shared("", None, None)
        device.close()
        wait_until(lambda: not status(lab).clients)  # type: ignore[union-attr]
        with pytest.raises(PanicError, match="runs other code"):  # since what is started is not newer either
            open_shared("", None, None)
    assert open_cpu().call(call("DummyT2T", "a")).outputs
    assert server_pid(lab) != old


def test_nobody_enters_without_the_secret(lab: Path, open_cpu: Callable[..., Device]) -> None:
    device = open_cpu()
    notice = Door(lab).notice()
    assert notice is not None
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(notice.address)
        with pytest.raises(AuthenticationError):
            shared_wire.prove(end, b"guess", 5, is_server=False)
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(notice.address)
        with contextlib.suppress(OSError):
            Wire(end).write(Wire.pack(shared_wire.Hello("stop", 1, "")))
    assert device.call(call("DummyT2T", "a")).outputs


def test_its_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with open(log, "a") as file:
        print("early", file=file, flush=True)
        shorten(log, limit=100)
        assert log.read_text() == "early\n"
        print("x" * 200, file=file, flush=True)
        shorten(log, limit=100)
        print("late", file=file, flush=True)
    assert log.read_text() == "late\n"
    assert log.with_name("server.log.old").read_text().startswith("early")

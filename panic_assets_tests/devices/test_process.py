from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.devices.base import Call, CallTimedOut, Device, DeviceLost, fault_of
from panic_assets.devices.local import LocalDevice
from panic_assets.devices.process import ProcessDevice
from panic_assets.errors import PanicError
from panic_assets.models.adapters.faults import VARIABLE, OutOfMemoryError
from panic_assets.models.errors import ModelCallError, ModelLoadError
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import load_registry
from panic_assets_tests.drills import Drill

REGISTRY = load_registry()  # all dummies that generate share their weights, such as they are, and so do not overlap
LINUX = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")


def call(name: str, *inputs: Any, limit: float | None = None) -> Call:
    entry = REGISTRY[name]
    if entry.kind == "embedder":
        return Call(entry, inputs, modality="text" if isinstance(inputs[0], str) else "image", limit_seconds=limit)
    return Call(entry, inputs, tuple(range(len(inputs))), limit_seconds=limit)


@pytest.fixture
def drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drill:
    return Drill(tmp_path, monkeypatch)


@pytest.fixture
def open_device(drill: Drill) -> Iterator[Callable[..., ProcessDevice]]:
    """Opens devices that are closed after the test; they can be asked for faults."""
    opened: list[ProcessDevice] = []

    def opener(**options: Any) -> ProcessDevice:
        opened.append(ProcessDevice("cpu", **options))
        return opened[-1]

    yield opener
    for device in opened:
        device.close()


def in_thread(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function, *arguments)
    pool.shutdown(wait=False)
    return future


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int, seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while runs(pid):
        assert time.monotonic() < until, f"process {pid} still runs after {seconds} s"
        time.sleep(0.02)


def run_script(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PREAMBLE + script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


PREAMBLE = """
import os, sys
from panic_assets.devices.base import Call
from panic_assets.devices.process import ProcessDevice
from panic_assets.models.registry import load_registry
ENTRY = load_registry()["DummyT2T"]
"""


# What it computes -----------------------------------------------------------------------------------------------------


def test_outputs_are_those_of_this_process(open_device: Callable[..., ProcessDevice]) -> None:
    device, local = open_device(), LocalDevice(ModelPool("cpu"))
    assert isinstance(device, Device)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (48, 32, 3), np.uint8) for _ in range(3)]
    for asked in (call("DummyT2I", "a", "b"), call("DummyI2T", *pictures), call("DummyI2I", *pictures)):
        far, near = device.call(asked), local.call(asked)
        for one, other in zip(far.outputs, near.outputs, strict=True):
            assert one.flags == other.flags
            assert np.array_equal(one.value, other.value)
    for asked in (call("DummyText", "a", "b"), call("DummyVision", *pictures)):
        far, near = device.call(asked), local.call(asked)
        assert far.outputs.dtype == np.float32
        assert np.array_equal(far.outputs, near.outputs)
    assert (far.device, device.hardware, device.name, device.capacity_gb) == ("cpu", "cpu", "cpu", None)
    assert set(far.resident) == {REGISTRY[f"Dummy{name}"].load_identity for name in ("T2I", "Text", "Vision")}
    assert far.seconds >= 0
    assert far.loading_seconds >= 0
    assert near.started_at <= near.completed_at
    assert device.restarts == 0


def test_big_pictures(open_device: Callable[..., ProcessDevice]) -> None:
    pictures = [np.full((1500, 1500, 3), value, np.uint8) for value in range(3)]
    pictures.append(pictures[0][::-1, ::2])  # neither contiguous nor of the same shape
    asked = call("DummyI2T", *pictures)
    assert open_device().call(asked).outputs == LocalDevice(ModelPool("cpu")).call(asked).outputs


def test_capacity_and_release_reach_the_process(open_device: Callable[..., ProcessDevice]) -> None:
    device = open_device(capacity_gb=3.0)
    assert device.capacity_gb == 3.0
    first, second = (REGISTRY[name].with_overrides({"memory_gb": 2.0}) for name in ("DummyT2T", "DummyText"))
    device.call(Call(first, ("a",), (0,)))
    assert device.call(Call(second, ("a",), modality="text")).resident == {second.load_identity: 2.0}
    replied = device.call(call("DummyT2I", "a"))
    assert replied.resident.keys() == {second.load_identity, REGISTRY["DummyT2I"].load_identity}
    released = device.call(Call(REGISTRY["DummyT2I"], ("a",), (0,), release=(second.load_identity,)))
    assert released.resident.keys() == {REGISTRY["DummyT2I"].load_identity}


def test_lanes_compute_at_the_same_time(open_device: Callable[..., ProcessDevice], drill: Drill) -> None:
    """While one call hangs, others of other weights are answered."""
    drill.order(DummyT2T={"kind": "hang"})
    device = open_device(lanes=2)
    hung = in_thread(device.call, call("DummyT2T", "a", limit=60))
    drill.wait_until_struck("DummyT2T")
    for _ in range(5):
        assert len(device.call(call("DummyText", "a", "b")).outputs) == 2
    assert not hung.done()
    device.close()
    with pytest.raises(DeviceLost, match="closed"):
        hung.result(10)


def test_many_threads(open_device: Callable[..., ProcessDevice]) -> None:
    device, local = open_device(lanes=3), LocalDevice(ModelPool("cpu"))
    asked = [call(("DummyT2T", "DummyT2I", "DummyText")[n % 3], f"text {n}") for n in range(60)]
    with ThreadPoolExecutor(6) as threads:
        replies = list(threads.map(device.call, asked))
    for one, reply in zip(asked, replies, strict=True):
        expected = local.call(one).outputs
        if isinstance(reply.outputs, np.ndarray):
            assert np.array_equal(reply.outputs, expected)
        else:
            assert np.array_equal(reply.outputs[0].value, expected[0].value)
    assert device.restarts == 0


# Errors ---------------------------------------------------------------------------------------------------------------


def test_errors_of_models_come_back_and_the_process_goes_on(
    open_device: Callable[..., ProcessDevice], drill: Drill
) -> None:
    drill.order(
        DummyT2T=[{"kind": "load_error", "times": 1}, {"kind": "out_of_memory", "times": 1}, {"kind": "transient"}]
    )
    device = open_device()
    with pytest.raises(ModelLoadError) as caught:
        device.call(call("DummyT2T", "a"))
    error = caught.value
    assert (error.model, error.source, error.remedy) == ("DummyT2T", "this package", f"Unset {VARIABLE}.")
    assert "strike_at_load" in error.__notes__[0]
    pid = device.pid
    with pytest.raises(OutOfMemoryError) as full:
        device.call(call("DummyT2T", "a"))
    assert fault_of(full.value) == "out_of_memory"
    with pytest.raises(RuntimeError, match="transient"):
        device.call(call("DummyT2T", "a"))
    with pytest.raises(ModelCallError, match="must be a text"):
        device.call(call("DummyT2I", np.zeros((2, 2, 3), np.uint8)))
    assert (device.pid, device.restarts) == (pid, 0)


def test_a_call_that_cannot_be_sent_harms_nobody(open_device: Callable[..., ProcessDevice]) -> None:
    device = open_device()
    with pytest.raises(Exception, match="pickle"):
        device.call(call("DummyT2T", lambda: None))
    assert device.call(call("DummyT2T", "a")).outputs


@pytest.mark.parametrize(("kind", "signs"), [("die", ["SIGKILL"]), ("segfault", ["SIGSEGV", "Segmentation fault"])])
def test_a_process_that_dies_is_started_again(
    open_device: Callable[..., ProcessDevice], drill: Drill, kind: str, signs: list[str]
) -> None:
    drill.order(DummyT2T={"kind": kind, "times": 1})
    device = open_device()
    with pytest.raises(DeviceLost) as caught:
        device.call(call("DummyT2T", "a"))
    assert not isinstance(caught.value, CallTimedOut)
    for sign in [*signs, "a batch of 1 for DummyT2T"]:
        assert sign in str(caught.value)
    assert device.call(call("DummyT2T", "a")).outputs
    assert device.restarts == 1


def test_killed_from_outside_in_the_middle_of_calls(open_device: Callable[..., ProcessDevice], drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "hang", "times": 1}, DummyText={"kind": "hang", "times": 1})
    device = open_device(lanes=2)
    hung = [in_thread(device.call, call(name, "a")) for name in ("DummyT2T", "DummyText")]
    for name in ("DummyT2T", "DummyText"):
        drill.wait_until_struck(name)
    pid = device.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for future in hung:
        with pytest.raises(DeviceLost, match="SIGKILL"):
            future.result(20)
    assert device.call(call("DummyT2T", "a")).outputs
    assert device.restarts == 1
    assert not runs(pid)


def test_killed_between_calls(open_device: Callable[..., ProcessDevice]) -> None:
    """The loss is noticed by the next call or before it; then all is well again."""
    device = open_device()
    device.call(call("DummyT2T", "a"))
    pid = device.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    try:
        device.call(call("DummyT2T", "a"))
    except DeviceLost:
        device.call(call("DummyT2T", "a"))
    assert device.restarts == 1


def test_a_call_that_hangs(open_device: Callable[..., ProcessDevice], drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "hang", "times": 1}, DummyText={"kind": "hang", "times": 1})
    device = open_device(lanes=2, limit_seconds=60)
    other = in_thread(device.call, call("DummyText", "a"))
    drill.wait_until_struck("DummyText")
    began = time.monotonic()
    with pytest.raises(CallTimedOut, match=r"a batch of 1 for DummyT2T took longer than 0\.3 s"):
        device.call(call("DummyT2T", "a", limit=0.3))
    assert 0.3 <= time.monotonic() - began < 20
    with pytest.raises(DeviceLost, match="for DummyT2T took longer") as caught:
        other.result(20)
    assert fault_of(caught.value) == "device_lost"
    assert device.call(call("DummyT2T", "a", limit=30)).outputs
    assert device.restarts == 1


def test_the_limit_of_the_device(open_device: Callable[..., ProcessDevice], drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "hang"})
    with pytest.raises(CallTimedOut, match=r"longer than 0\.2 s"):
        open_device(limit_seconds=0.2).call(call("DummyT2T", "a"))


def test_waiting_for_another_call_does_not_count(open_device: Callable[..., ProcessDevice], drill: Drill) -> None:
    """Of two calls of the same weights the first hangs: it alone is late, whatever the limit of the second."""
    drill.order(DummyT2T={"kind": "hang", "times": 1})
    device = open_device(lanes=2)
    hung = in_thread(device.call, call("DummyT2T", "a", limit=1.5))
    drill.wait_until_struck("DummyT2T")
    with pytest.raises(DeviceLost) as caught:
        device.call(call("DummyT2T", "b", limit=0.1))
    assert not isinstance(caught.value, CallTimedOut)
    with pytest.raises(CallTimedOut):
        hung.result(20)


def test_loading_has_a_limit_of_its_own(open_device: Callable[..., ProcessDevice], drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "load_hang", "times": 1})
    device = open_device(loading_seconds=0.7)
    began = time.monotonic()
    with pytest.raises(CallTimedOut, match=r"longer than 0\.7 s \(loading\)"):
        device.call(call("DummyT2T", "a", limit=0.1))
    assert time.monotonic() - began >= 0.7
    assert device.call(call("DummyT2T", "a", limit=30)).outputs


def test_a_poisoned_accelerator(open_device: Callable[..., ProcessDevice], drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "poisoned", "times": 1}, DummyText={"kind": "hang", "times": 1})
    device = open_device(lanes=2)
    other = in_thread(device.call, call("DummyText", "a"))
    drill.wait_until_struck("DummyText")
    pid = device.pid
    with pytest.raises(DeviceLost, match="RuntimeError: CUDA error: device-side assert triggered"):
        device.call(call("DummyT2T", "a"))
    with pytest.raises(DeviceLost, match="device-side assert"):
        other.result(20)
    assert device.call(call("DummyT2T", "a")).outputs
    assert device.restarts == 1
    assert pid is not None
    assert not runs(pid)


def test_a_process_that_cannot_start() -> None:
    nowhere = ProcessDevice("cpu", python="no-such-python")
    with pytest.raises(PanicError, match="python must be an interpreter that has this package"):
        nowhere.call(call("DummyT2T", "a"))
    false = shutil.which("false")
    assert false is not None
    for _ in range(2):
        with pytest.raises(DeviceLost, match="ended itself with status 1"):
            ProcessDevice("cpu", python=false).call(call("DummyT2T", "a"))


# Beginning and end ----------------------------------------------------------------------------------------------------


def test_close_ends_it(open_device: Callable[..., ProcessDevice]) -> None:
    device = open_device()
    assert device.pid is None
    device.call(call("DummyT2T", "a"))
    pid = device.pid
    assert pid is not None
    assert runs(pid)
    device.close()
    with pytest.raises(ProcessLookupError):  # not even a zombie
        os.kill(pid, 0)
    device.close()
    with pytest.raises(PanicError, match="is closed; open another"):
        device.call(call("DummyT2T", "a"))


def test_threads_end_with_it(open_device: Callable[..., ProcessDevice]) -> None:
    before = set(threading.enumerate())
    device = open_device()
    device.call(call("DummyT2T", "a"))
    device.close()
    until = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def test_ctrl_c_is_left_to_the_parent(open_device: Callable[..., ProcessDevice]) -> None:
    device = open_device()
    device.call(call("DummyT2T", "a"))
    assert device.pid is not None
    os.kill(device.pid, signal.SIGINT)
    assert device.call(call("DummyT2T", "a")).outputs
    assert device.restarts == 0


def test_a_device_that_is_forgotten_takes_its_process_along() -> None:
    device = ProcessDevice("cpu")
    device.call(call("DummyT2T", "a"))
    pid = device.pid
    del device
    assert pid is not None
    wait_until_gone(pid)


def test_the_end_of_the_interpreter_is_its_end() -> None:
    """From a script without any guard against being imported again."""
    done = run_script("""
device = ProcessDevice("cpu", lanes=2)
print(device.call(Call(ENTRY, ("a",), (0,))).outputs[0].value, device.pid)
""")
    assert (done.returncode, done.stderr) == (0, "")
    *_, pid = done.stdout.split()
    wait_until_gone(int(pid))


@pytest.mark.parametrize("is_busy", [False, True])
def test_the_death_of_the_parent_is_its_end(drill: Drill, is_busy: bool) -> None:
    if is_busy:
        drill.order(DummyT2T={"kind": "hang"})
    script = """
import threading
device = ProcessDevice("cpu")
device.describe()
threading.Thread(target=device.call, args=(Call(ENTRY, ("a",), (0,)),), daemon=True).start()
print(device.pid, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", PREAMBLE + script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if is_busy:
            drill.wait_until_struck("DummyT2T")
        assert runs(pid)
        parent.kill()
    wait_until_gone(pid)


def test_a_forked_copy_of_the_parent_leaves_it_alone() -> None:
    done = run_script("""
device = ProcessDevice("cpu")
device.call(Call(ENTRY, ("a",), (0,)))
if (copy := os.fork()) == 0:
    device.close()
    os._exit(0)
os.waitpid(copy, 0)
device.call(Call(ENTRY, ("a",), (0,)))
print(device.restarts)
""")
    assert done.stdout.split() == ["0"], done.stderr


def test_a_copy_of_the_parent_does_not_keep_it_alive() -> None:
    """A forked process holds the other end of the wire; the death of the parent is noticed all the same."""
    script = """
device = ProcessDevice("cpu")
device.describe()
if (copy := os.fork()) == 0:
    sys.stdin.read()
    os._exit(0)
print(device.pid, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", PREAMBLE + script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        wait_until_gone(pid)


def test_what_it_prints_goes_to_stderr(
    open_device: Callable[..., ProcessDevice], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nprint('to stdout')\nprint('\\r 1 %\\r 100 %', file=sys.stderr)\nsys.stdin.read()\n"
    )
    path = os.pathsep.join([str(tmp_path), *(entry for entry in sys.path if entry)])
    device = open_device(name="cpu 1", environment={"PYTHONPATH": path})
    device.call(call("DummyT2T", "a"))
    device.close()
    out, err = capfd.readouterr()
    assert out == ""
    assert "[cpu 1] to stdout\n" in err
    assert "[cpu 1]  100 %\n" in err


@LINUX
def test_threads_and_environment(open_device: Callable[..., ProcessDevice]) -> None:
    device = open_device(threads=3, environment={"SOME_VARIABLE": "some value"})
    device.call(call("DummyT2T", "a"))
    variables = Path(f"/proc/{device.pid}/environ").read_text().split("\0")
    assert {"OMP_NUM_THREADS=3", "MKL_NUM_THREADS=3", "SOME_VARIABLE=some value"} <= set(variables)


def test_torch_counts_the_threads_that_were_asked_for() -> None:
    """What the device sets is what torch heeds; asked in a process like that of the device."""
    device = ProcessDevice("cpu", threads=2)
    script = "import torch; print(torch.get_num_threads())"
    done = subprocess.run(
        [sys.executable, "-c", script], env=device._variables(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2"]


@LINUX
def test_it_does_not_load_torch_for_dummies(open_device: Callable[..., ProcessDevice]) -> None:
    device = open_device()
    device.call(call("DummyT2T", "a"))
    device.describe()
    assert "libtorch" not in Path(f"/proc/{device.pid}/maps").read_text()

"""From the words of a person to devices: ``auto``, ``cpu``, ``cuda:0,cuda:1``, ``2*cpu``, ``shared:...``, ``ray:...``.

Here belong reading that specification and opening what it names. What a device does is its own module's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from types import TracebackType
from typing import Literal

from panic_assets.devices.base import Device
from panic_assets.devices.hardware import Accelerators, accelerators, usable_cores
from panic_assets.devices.local import LocalDevice
from panic_assets.devices.process import ProcessDevice
from panic_assets.errors import PanicError
from panic_assets.models.pool import ModelPool

Isolation = Literal["auto", "none", "process"]
Opener = Callable[[str, float | None, int | None], list[Device]]

OPENERS: dict[str, str] = {
    "shared": "panic_assets.devices.shared:open_shared",
    "ray": "panic_assets.devices.cluster:open_ray",
}
"""Devices that are elsewhere, by the first word of the specification: ``module:function``, imported when wanted. The
function gets what follows the word and a colon, ``capacity_gb`` and ``lanes``, and returns open devices."""

EXAMPLES = "auto, cpu, 2*cpu, mps, cuda, cuda:0,cuda:1, shared:... or ray:..."
_WORD = re.compile(r"(?:(?P<count>[1-9]\d*)\*)?(?P<device>cpu|mps|cuda(?::(?P<index>\d+))?)")


class Fleet:
    """Open devices. A context manager; leaving it closes them."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self.devices = list(devices)

    def close(self) -> None:
        """Close all, also when one of them raises."""
        with ExitStack() as stack:
            for device in self.devices:
                stack.callback(device.close)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_devices(
    spec: str = "auto",
    *,
    capacity_gb: float | None = None,
    isolation: Isolation = "auto",
    lanes: int | None = None,
) -> Fleet:
    """Open the devices that a specification names.

    Args:
        spec: ``auto`` (every CUDA device, else Apple's GPU, else the CPU), or a list of words with commas between:
            ``cpu``, ``2*cpu`` (two processes that share the cores), ``mps``, ``cuda`` (every CUDA device),
            ``cuda:1``. Or one of ``OPENERS``.
        capacity_gb: GiB that the models of each device may take; None: on CUDA what the GPU has less a margin,
            elsewhere no bound.
        isolation: ``none``: all in this process. ``process``: each in a process of its own, which can be ended and
            started again when it hangs, dies or loses its GPU. ``auto``: a single CPU or Apple's GPU in this process,
            all else in processes.
        lanes: calls that each device takes at once; None for 1, or what an opener makes of it.

    Raises:
        PanicError: the specification is not one, or names a device that is not here.
    """
    if lanes is not None and lanes < 1:
        raise PanicError(f"lanes: {lanes} is not possible; give 1 or more")
    if capacity_gb is not None and capacity_gb <= 0:
        raise PanicError(f"capacity_gb: {capacity_gb} is not possible; give the GiB that models may take, or nothing")
    if isolation not in ("auto", "none", "process"):
        raise PanicError(f"isolation: {isolation!r} is not known; give auto, none or process")
    word, _, rest = spec.strip().partition(":")
    if word in OPENERS:
        return Fleet(_opener(word)(rest, capacity_gb, lanes))
    names = parse(spec, accelerators)
    is_alone = len(names) == 1 and not names[0].startswith("cuda")
    if isolation == "none" or (isolation == "auto" and is_alone):
        return Fleet(
            [
                LocalDevice(ModelPool(device, capacity_gb), name=name, lanes=lanes or 1)
                for device, name in zip(names, _told_apart(names), strict=True)
            ]
        )
    threads = max(1, usable_cores() // names.count("cpu")) if names.count("cpu") > 1 else None
    devices = [
        ProcessDevice(
            device,
            name=name,
            capacity_gb=capacity_gb,
            lanes=lanes or 1,
            threads=threads if device == "cpu" else None,
        )
        for device, name in zip(names, _told_apart(names), strict=True)
    ]
    return _described(Fleet(devices), [device for device in devices if device.device.startswith("cuda")])


def parse(spec: str, available: Callable[[], Accelerators]) -> list[str]:
    """The torch devices that a specification names, one for each device to open; ``2*cpu`` gives ``cpu`` twice.

    ``available`` is asked only where the answer matters.

    Raises:
        PanicError: a word is not known, is there twice, or names what the machine does not have.
    """
    if spec.strip() == "auto":
        found = available()
        return _all_cuda(found) or (["mps"] if found.mps else ["cpu"])
    names: list[str] = []
    for word in spec.split(","):
        matched = _WORD.fullmatch(word.strip())
        if matched is None:
            raise PanicError(f"devices: {word.strip()!r} in {spec!r} is not known; such are {EXAMPLES}")
        device, count = matched["device"], matched["count"]
        if count is not None and device != "cpu":
            raise PanicError(f"devices: {word.strip()!r} in {spec!r}: only cpu can be had several times, as in 2*cpu")
        new = ["cpu"] * int(count or 1) if device == "cpu" else _present(device, matched["index"], spec, available())
        if set(new) & set(names):
            raise PanicError(f"devices: {spec!r} names {new[0]} twice; write 2*cpu for two on the CPU, a GPU only once")
        names += new
    return names


def _present(device: str, index: str | None, spec: str, found: Accelerators) -> list[str]:
    if device == "mps":
        if not found.mps:
            raise PanicError(f"devices: {spec!r} names mps, and torch has no Apple GPU here; cpu is always there")
        return ["mps"]
    if found.cuda == 0:
        raise PanicError(
            f"devices: {spec!r} names {device}, and torch sees no CUDA device here; cpu is always there. Is the driver "
            "installed, is torch built for CUDA, does CUDA_VISIBLE_DEVICES hide devices?"
        )
    if index is None:
        return _all_cuda(found)
    if int(index) >= found.cuda:
        raise PanicError(f"devices: {spec!r} names {device}, and there are {', '.join(_all_cuda(found))}")
    return [f"cuda:{int(index)}"]


def _all_cuda(found: Accelerators) -> list[str]:
    return [f"cuda:{index}" for index in range(found.cuda)]


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names with a number where one is there more than once, as ``cpu 2``."""
    return [
        f"{name} {names[: place + 1].count(name)}" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def _described(fleet: Fleet, asked: Sequence[ProcessDevice]) -> Fleet:
    """The fleet, once these devices have told what they are; all start at the same time."""
    if not asked:
        return fleet
    try:
        with ThreadPoolExecutor(len(asked)) as threads:
            list(threads.map(ProcessDevice.describe, asked))
    except BaseException:
        fleet.close()
        raise
    return fleet


def _opener(word: str) -> Opener:
    module, _, function = OPENERS[word].partition(":")
    try:
        opener: Opener = getattr(import_module(module), function)
    except ImportError as error:
        raise PanicError(f"devices: {word} can't be had, since {error.name or error} is not installed") from error
    return opener

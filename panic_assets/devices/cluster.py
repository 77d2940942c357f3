"""Devices on a Ray cluster: one actor for each GPU of its hosts, or some on CPUs, each with a worker process.

Here belong the words after ``ray:``, the connection to the cluster, placing actors and what follows when one is lost.
Computing, limits of calls and poisoned GPUs are settled where the GPU is, by the process device that each actor holds;
so a hung model costs a process, and only a lost host or actor is dealt with from here. The hosts must have this package
and the models; nothing but calls and replies is sent to them.

The words are ``key=value`` with commas between, such as ``address=auto,workers=4``; see `Options`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import ray
from ray.exceptions import GetTimeoutError, RayError

from panic_assets.devices.base import Call, CallTimedOut, Device, DeviceLost, Reply
from panic_assets.devices.cluster_connection import CONNECTION, line
from panic_assets.devices.failures import PackedError, pack, unpack
from panic_assets.devices.hardware import usable_cores
from panic_assets.devices.process import LIMIT_SECONDS, LOADING_SECONDS, ProcessDevice
from panic_assets.errors import PanicError

WAIT_SECONDS = 120.0
GRACE_SECONDS = 60.0
"""What a call may take beyond its limits before its actor counts as lost: the way there and back, and starting the
worker process. The limits themselves are kept by the actor; this is for an actor that does not answer any more."""

_LOOK_SECONDS = 1.0
_CLOSING_SECONDS = 20.0
_EXAMPLE = "ray:address=auto,workers=4"


@dataclass(frozen=True)
class Options:
    """What follows ``ray:``.

    ``address``: ``auto`` for the cluster that ``RAY_ADDRESS`` names or that runs on this host, ``local`` for one
    started here and ended with the devices, ``HOST:PORT`` for another; None: as ``auto``, else ``local``.
    ``workers``: how many devices; None: one for each GPU, else one for each host. ``cpus``: how many of Ray's CPUs each
    reserves, and threads it uses; None: none where there are GPUs, else as many as all workers can have.
    ``wait``: seconds until a device whose GPU or CPUs do not come (back) counts as lost.
    """

    address: str | None = None
    workers: int | None = None
    cpus: int | None = None
    wait: float = WAIT_SECONDS


@dataclass(frozen=True)
class Place:
    """Where an actor is: its process, the host's name, and the version of this package there."""

    pid: int
    host: str
    version: str


@dataclass(frozen=True)
class Needs:
    """What each actor gets of its host. ``neighbours``: at most so many actors share the cores of a host."""

    gpus: int
    cpus: int
    neighbours: int


def open_ray(rest: str, capacity_gb: float | None, lanes: int | None) -> list[Device]:
    """Connect to a cluster, or start one, and open its devices.

    Args:
        rest: see `Options`.
        capacity_gb: GiB that the models of each device may take; None: on a GPU what it has less a margin, else no
            bound.
        lanes: calls that each device takes at once; None for 1.

    Raises:
        PanicError: ``rest`` can't be read, there is no such cluster, or it does not have (in time) what is wanted.
    """
    options = parse(rest)
    CONNECTION.open(options.address, (options.workers or 1) * (options.cpus or 1))
    devices: list[RayDevice] = []
    try:
        count, needs = plan(options, _resources())
        names = [f"ray {number}" for number in range(1, count + 1)]
        devices += [RayDevice(name, needs, capacity_gb, lanes or 1, options.wait) for name in names]
        with ThreadPoolExecutor(count) as threads:
            list(threads.map(RayDevice.start, devices))
    except BaseException:
        for device in devices:
            device.close()
        raise
    finally:
        CONNECTION.close()  # each device holds its own share
    return list(devices)


def parse(rest: str) -> Options:
    """Read what follows ``ray:``.

    Raises:
        PanicError: a word is not known or its value not possible.
    """
    given: dict[str, Any] = {}
    known = {field.name for field in fields(Options)}
    for word in filter(None, (part.strip() for part in rest.split(","))):
        key, _, value = word.partition("=")
        if key not in known or key in given or not value:
            raise PanicError(
                f"devices: {word!r} in 'ray:{rest}' is not possible; give each of {known} once: {_EXAMPLE}"
            )
        given[key] = value if key == "address" else _number(rest, key, value)
    if "://" in (given.get("address") or os.environ.get("RAY_ADDRESS", "")):
        raise PanicError(
            f"devices: 'ray:{rest}': an address with :// is for clients outside of the cluster, over whose connection "
            "pictures are too slow; run panic on a host of the cluster, with address=auto"
        )
    return Options(**given)


def _number(rest: str, key: str, value: str) -> float | int:
    try:
        number = float(value) if key == "wait" else int(value)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise PanicError(f"devices: {key}={value!r} in 'ray:{rest}' is not possible; give a number above 0: {_EXAMPLE}")
    return number


def plan(options: Options, hosts: list[dict[str, float]]) -> tuple[int, Needs]:
    """How many devices there are, and what each gets, from the resources of the hosts.

    Raises:
        PanicError: the cluster is too small.
    """
    gpus = [int(host.get("GPU", 0)) for host in hosts]
    cpus = [int(host.get("CPU", 0)) for host in hosts]
    if sum(gpus):
        count = options.workers or sum(gpus)
        if count > sum(gpus):
            raise PanicError(f"devices: ray: workers={count}, and the cluster has {sum(gpus)} GPUs; give no more")
        return count, Needs(1, options.cpus or 0, max(gpus))
    count = options.workers or sum(cpu > 0 for cpu in cpus) or 1
    for each in [options.cpus] if options.cpus else range(max(cpus, default=0), 0, -1):
        if sum(cpu // each for cpu in cpus) >= count:
            return count, Needs(0, each, 1)
    raise PanicError(
        f"devices: ray: {count} workers with {options.cpus or 1} CPUs each do not fit on hosts with {cpus} CPUs (as "
        "Ray counts them) and no GPU; give fewer workers or cpus, or add hosts"
    )


class Worker:
    """The actor: hands calls to its worker process. What goes wrong in it travels as a description."""

    def __init__(self, name: str, needs: Needs, capacity_gb: float | None, lanes: int, loading_seconds: float) -> None:
        self._device = ProcessDevice(
            "cuda:0" if needs.gpus else "cpu",  # Ray shows an actor its own GPU alone
            name=f"{name} on {socket.gethostname()}",
            capacity_gb=capacity_gb,
            lanes=lanes,
            threads=needs.cpus or max(1, usable_cores() // needs.neighbours),  # Ray would make it 1
            loading_seconds=loading_seconds,
        )

    def place(self) -> Place:
        """Where it is."""
        return Place(os.getpid(), socket.gethostname(), version("panic-assets"))

    def describe(self) -> tuple[str, float | None] | PackedError:
        """The hardware and the GiB that models may take; starts the process where only that can tell."""
        try:
            return self._device.hardware, self._device.capacity_gb
        except Exception as error:
            return pack(error)

    def call(self, call: Call) -> Reply | PackedError:
        """See :class:`panic_assets.devices.base.Device`."""
        try:
            return self._device.call(call)
        except Exception as error:
            return pack(error)


@dataclass(frozen=True)
class _Running:
    """An actor that has answered."""

    actor: Any
    place: Place
    hardware: str
    capacity_gb: float | None


class RayDevice:
    """Calls models in an actor, which this process owns and which ends with it. A lost one is replaced.

    Args:
        name: among the devices of a session.
        needs: of each of its actors.
        capacity_gb: GiB that its models may take together; see `open_ray`.
        lanes: calls at once.
        wait_seconds: how long an actor may take to get its place in the cluster.
        limit_seconds: of a call that brings no limit of its own, loading not counted.
        loading_seconds: how long a model may take to load.
        grace_seconds: what a call may take beyond these, on the way there and back.

    Raises:
        PanicError: this process is not connected to a cluster.
    """

    def __init__(
        self,
        name: str,
        needs: Needs,
        capacity_gb: float | None = None,
        lanes: int = 1,
        wait_seconds: float = WAIT_SECONDS,
        limit_seconds: float = LIMIT_SECONDS,
        loading_seconds: float = LOADING_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.name, self.lanes = name, lanes
        self._needs, self._capacity_gb, self._wait_seconds = needs, capacity_gb, wait_seconds
        self._limit_seconds, self._loading_seconds = limit_seconds, loading_seconds
        self._grace_seconds = grace_seconds
        self._starting = threading.Lock()
        self._changed = threading.Condition()
        self._under_way = 0
        self._running: _Running | None = None
        self._last: _Running | None = None
        self._is_closed = False
        CONNECTION.share()

    @property
    def hardware(self) -> str:
        """See :class:`panic_assets.devices.base.Device`; that of the last actor."""
        return self.start().hardware if self._last is None else self._last.hardware

    @property
    def capacity_gb(self) -> float | None:
        """See :class:`panic_assets.devices.base.Device`; that of the last actor."""
        return self.start().capacity_gb if self._last is None else self._last.capacity_gb

    @property
    def place(self) -> Place | None:
        """Where the actor is that takes calls now; None between two."""
        running = self._running
        return None if running is None else running.place

    def start(self) -> _Running:
        """The actor, a new one if there is none.

        Raises:
            DeviceLost: no host has what it needs, for longer than it may wait, or it died while starting.
            PanicError: it can't compute where it is, or the device is closed.
        """
        with self._starting:
            if self._running is None:
                self._running = self._last = self._started()
            return self._running

    def call(self, call: Call) -> Reply:
        """See :class:`panic_assets.devices.base.Device`."""
        with self._changed:
            self._under_way += 1
        try:
            return self._call(call)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """End the actor, calls in flight or not; they raise ``DeviceLost``. May be called again."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
        with self._starting:
            running, self._running = self._running, None
        if running is not None:
            _end(running.actor)
        with self._changed:
            self._changed.wait_for(lambda: self._under_way == 0, _CLOSING_SECONDS)
        CONNECTION.close()

    def _call(self, call: Call) -> Reply:
        running = self.start()
        limit = self._limit_seconds if call.limit_seconds is None else call.limit_seconds
        # A call may wait for those of the other lanes, if they share its weights.
        at_most = self.lanes * (self._loading_seconds + limit) + self._grace_seconds
        what = f"a call of {call.entry.name} with {len(call.inputs)} inputs"
        try:
            came = self._get(running.actor.call.remote(replace(call, limit_seconds=limit)), at_most)
        except GetTimeoutError as error:
            self._drop(running)
            raise CallTimedOut(
                f"{self.name}: {what} was not answered within {at_most:g} s by the process {running.place.pid} on "
                f"{running.place.host}, which was ended. The next call starts another"
            ) from error
        except RayError as error:
            self._drop(running)
            raise DeviceLost(
                f"{self.name}: lost {what}, and with it the process {running.place.pid} on {running.place.host} "
                f"({line(error)}). The next call starts another, where the cluster has room"
            ) from error
        if isinstance(came, PackedError):
            raise unpack(came)
        return _owned(came)

    def _started(self) -> _Running:
        options: dict[str, Any] = {
            "num_gpus": self._needs.gpus,
            "num_cpus": self._needs.cpus,
            "max_concurrency": self.lanes,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "DEFAULT" if self._needs.gpus else "SPREAD",
        }
        if self._is_closed:
            raise PanicError(f"the device {self.name} is closed; open another one to go on")
        actor = (
            ray.remote(Worker)
            .options(**options)
            .remote(self.name, self._needs, self._capacity_gb, self.lanes, self._loading_seconds)
        )
        wanted = f"{self._needs.gpus} GPUs and {self._needs.cpus} CPUs"
        try:
            place = self._get(actor.place.remote(), self._wait_seconds)
            if place.version != version("panic-assets"):
                raise PanicError(
                    f"{self.name}: the host {place.host} has panic-assets {place.version}, this one has "
                    f"{version('panic-assets')}; install the same version on all hosts of the cluster"
                )
            described = self._get(actor.describe.remote(), self._loading_seconds)
            if isinstance(described, PackedError):
                raise unpack(described)
        except GetTimeoutError as error:
            _end(actor)
            raise DeviceLost(
                f"{self.name}: the cluster did not have {wanted} for it within {self._wait_seconds:g} s (see ray "
                "status); free them, add a host, ask for fewer workers or give a longer wait, such as ray:wait=600"
            ) from error
        except RayError as error:
            _end(actor)
            raise DeviceLost(
                f"{self.name}: its process died while it was starting ({line(error)}); every host needs the same "
                "versions of Python, Ray and this package"
            ) from error
        except BaseException:
            _end(actor)
            raise
        return _Running(actor, place, *described)

    def _get(self, reference: Any, seconds: float) -> Any:
        """What the reference stands for. Looks up in between, so that Ctrl-C and closing are heeded.

        Raises:
            GetTimeoutError: it did not come in time.
            RayError: it will not come.
        """
        until = time.monotonic() + seconds
        while not ray.wait([reference], timeout=max(0.0, min(_LOOK_SECONDS, until - time.monotonic())))[0]:
            if self._is_closed:
                raise DeviceLost(f"{self.name}: the device was closed")
            if time.monotonic() >= until:
                raise GetTimeoutError
        return ray.get(reference)

    def _drop(self, running: _Running) -> None:
        _end(running.actor)
        with self._starting:
            if self._running is running:  # else another lane was first, and there may be a new one
                self._running = None


def _resources() -> list[dict[str, float]]:
    """What each host that is alive has in all, free or not."""
    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def _owned(reply: Reply) -> Reply:
    """The reply with arrays of its own: what Ray gives lies in its store, and would keep its room there."""
    if isinstance(reply.outputs, np.ndarray):
        return replace(reply, outputs=reply.outputs.copy())
    outputs = [
        replace(output, value=output.value.copy()) if isinstance(output.value, np.ndarray) else output
        for output in reply.outputs
    ]
    return replace(reply, outputs=outputs)


def _end(actor: Any) -> None:
    """End an actor that may be gone already, with whatever it does."""
    with contextlib.suppress(RayError, ValueError):
        ray.kill(actor, no_restart=True)

"""A device with a queue before it: calls of many networks, one after the other, off the event loop.

Here belong the threads of one device. Who is next is decided by :class:`panic_assets.devices.sharing.Desk`, the same
that serves experiments who share a device: nobody waits long for others, and a model at hand goes first.
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future

from panic_assets.devices.base import Call, Device, DeviceLost, Reply
from panic_assets.devices.sharing import Desk, Job


class Bench:
    """One device and its threads, one for each of its lanes. Safe to use from several threads."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._desk, self._changed = Desk(), threading.Condition()
        self._clients = itertools.count()
        self._told: dict[int, Future[Reply]] = {}
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"live {device.name} lane {lane}", daemon=True)
            for lane in range(device.lanes)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, call: Call) -> Future[Reply]:
        """Queue a call. Cancelling what this returns takes it out of the queue, unless it has begun.

        Each call is a client of its own: a network waits for its call before it makes the next.

        Raises:
            DeviceLost: the bench is closed.
        """
        told: Future[Reply] = Future()
        with self._changed:
            if self._is_closed:
                raise DeviceLost(f"the device {self.device.name} is closed")
            client = next(self._clients)
            self._told[client] = told
            self._desk.put(Job(client, 0, call))
            self._changed.notify()
        return told

    def load(self, weights: str) -> tuple[bool, int]:
        """Whether it lacks a model (by ``load_identity``), and how many calls it has: less is better."""
        with self._changed:
            return weights not in self._desk.resident, self._desk.waiting() + self._desk.computing

    def close(self) -> None:
        """Drop what waits. A call that has begun in this process can't be ended; its answer is thrown away."""
        with self._changed:
            self._is_closed = True
            dropped = list(self._told.values())
            self._told.clear()
            self._changed.notify_all()
        for told in dropped:
            if told.set_running_or_notify_cancel():
                told.set_exception(DeviceLost(f"the device {self.device.name} was closed before the call began"))

    def _work(self) -> None:
        while (job := self._take()) is not None:
            with self._changed:
                told = self._told.pop(job.client, None)
            resident = None
            if told is not None and told.set_running_or_notify_cancel():
                try:
                    reply = self.device.call(job.call)
                except BaseException as error:
                    told.set_exception(error)
                else:
                    resident = reply.resident
                    told.set_result(reply)
            with self._changed:
                self._desk.done(job, resident)
                self._desk.forget(job.client)

    def _take(self) -> Job | None:
        with self._changed:
            while not self._is_closed:
                if (job := self._desk.take()) is not None:
                    return job
                self._changed.wait()
        return None

"""The dispatcher: keeps devices busy with what is asked, and brings back an answer for every request.

Here belong the threads that carry batches to devices, and what happens when a call fails. A batch always has the size
that its model has on its device, its tail padded, because the size of a batch changes the bits of a result and its
companions do not; only what goes to a server, which batches as it likes, is not padded. Which batch comes next is
decided by ``scheduling``; who wants an answer is the caller's business.

What happens to a fault:

* out of memory: the batch size is halved, on that device and for good, and the requests are asked again;
* the device was lost, or a call took too long: the requests are asked again, after a second loss each alone;
* any other error: each request is asked again alone, twice if need be, in a batch of the same size, so that it spoils
  no other;
* a picture with values that are not finite: asked again once, for a sound model gives the same again.

A request that goes on to fail alone is answered with its error.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import numpy as np

from panic_assets.devices.base import Call, Device, Reply, fault_of
from panic_assets.devices.known import KnownFacts
from panic_assets.devices.probing import probe_batch
from panic_assets.errors import PanicError
from panic_assets.loop.scheduling import Scheduler, Want, Work
from panic_assets.models.base import Output
from panic_assets.models.entry import Medium, ModelEntry
from panic_assets.models.errors import ModelLoadError

State = str | np.ndarray
#: Calls that may be in vain for a request: before it is asked alone if its device is lost, and in all.
_LOSSES_TOGETHER, _LOSSES, _ERRORS = 1, 3, 2
#: A call may take this long for each of its items, or so many times longer than it usually does.
LIMIT_SECONDS, LIMIT_FACTOR = 300.0, 20.0
SAVE_SECONDS = 30.0  # between two times that the facts are saved
#: A device that was lost so many times in a row rests so long at a time, if there is another to work on.
LOSSES_IN_A_ROW, REST_SECONDS = 2, 30.0


class BadOutput(PanicError):
    """A model gave something that is no text and no picture, or not as many outputs as it got inputs."""


@dataclass(frozen=True)
class Request:
    """One output that is wanted. ``step`` orders requests: the least is furthest behind.

    ``retries`` counts the calls that were in vain; ``alone`` is one that shares its batch with no other any more.
    """

    key: Any
    value: State
    seed: int = 0
    step: int = 0
    retries: int = 0
    alone: bool = False


@dataclass(frozen=True)
class Answer:
    """What came of a request: an output (for an embedder a float32 vector) or an error, and what it took.

    ``seconds`` is the request's share of the call; ``batch_size`` the shape in which it was computed, on ``device``.
    """

    key: Any
    output: Output | np.ndarray | None
    error: Exception | None
    batch_size: int
    seconds: float
    retries: int
    device: str
    started_at: datetime
    completed_at: datetime


@dataclass(frozen=True)
class Incident:
    """Something that went wrong and was dealt with. ``keys`` are those of the requests that it concerns."""

    kind: str
    model: str
    device: str
    message: str
    keys: tuple[Any, ...]
    at: datetime


@dataclass
class Totals:
    """Sums over all devices, in seconds of their lanes."""

    calls: int = 0
    model_seconds: float = 0.0
    loading_seconds: float = 0.0


class Dispatcher:
    """Answers requests on devices. A context manager; leaving it waits for the calls under way and saves the facts.

    Args:
        devices: where to compute; each has a thread for each of its lanes.
        entries: the models by name.
        facts: what is known of them; None to keep to the registered batch sizes and remember nothing.
    """

    def __init__(
        self, devices: Sequence[Device], entries: Mapping[str, ModelEntry], facts: KnownFacts | None = None
    ) -> None:
        self.devices, self.entries, self.facts = list(devices), entries, facts
        self.totals = Totals()
        self._sizes: dict[tuple[str, int], int] = {}
        self._hardware: dict[int, str] = {}
        self._losses = [(0, 0.0)] * len(devices)  # in a row, and when the last one was
        self._scheduler: Scheduler[Request] = Scheduler(
            entries, [(device.capacity_gb, device.lanes) for device in devices], self._size
        )
        self._changed = threading.Condition()
        self._came: queue.SimpleQueue[list[Answer] | Incident | Exception] = queue.SimpleQueue()
        self._is_closed, self._saved = False, time.monotonic()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"{device.name} lane {lane}", daemon=True)
            for number, device in enumerate(self.devices)
            for lane in range(device.lanes)
        ]

    @property
    def lanes(self) -> int:
        """Calls that can be under way at the same time."""
        return len(self._threads)

    def __enter__(self) -> Dispatcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        if self.facts:
            self.facts.save()

    def expect(self, models: Iterable[str]) -> None:
        """Say which models will be asked from now on: they stay in memory before others do."""
        with self._changed:
            self._scheduler.expect(models)

    def submit(self, model: str, requests: Iterable[Request], modality: Medium | None = None) -> None:
        """Ask a model; the answers come in any order, each exactly once."""
        with self._changed:
            for request in requests:
                self._scheduler.add(Want(model, modality), request, request.step)
            self._changed.notify_all()

    def come(self) -> list[Answer] | Incident:
        """The answers of the next call that is done, or an incident; waits for it.

        The caller is taken to be done with what it got last, and to have asked what follows from it.

        Raises:
            ModelLoadError: a model can't be loaded.
            Exception: a device failed in a way that no other call will mend.
        """
        with self._changed:
            self._scheduler.settling = self._came.qsize()
            self._changed.notify_all()
        came = self._came.get()
        if isinstance(came, Exception):
            raise came
        return came

    def _size(self, model: str, device: int) -> int | None:
        if (model, device) not in self._sizes:
            entry = self.entries[model]
            known = self.facts.batch_for(entry, self._hardware_of(device)) if self.facts else entry.batch
            if known is None:
                return None
            self._sizes[model, device] = known
        return self._sizes[model, device]

    def _hardware_of(self, device: int) -> str:
        return self._hardware.get(device) or self.devices[device].hardware

    def _work(self, device: int) -> None:
        """One lane: take, call, hand over, until closed."""
        try:
            while (work := self._take(device)) is not None:
                resident: Mapping[str, float] | None = None
                came: Sequence[list[Answer] | Incident] = []
                if work.size is None:
                    self._probe(work)
                else:
                    came, resident = self._call(work)
                with self._changed:
                    self._scheduler.done(work, resident)
                    self._hand_over(came)
        except Exception as error:
            self._hand_over([error])

    def _take(self, device: int) -> Work[Request] | None:
        with self._changed:
            while not self._is_closed:
                rest = self._rest(device)
                if rest <= 0 and (work := self._scheduler.take(device)) is not None:
                    return work
                self._changed.wait(rest if rest > 0 else None)
        return None

    def _rest(self, device: int) -> float:
        """Seconds for which a device should take nothing: else one that stays lost would spend everyone's retries."""
        losses, last = self._losses[device]
        others = any(self._losses[other][0] == 0 for other in range(len(self.devices)) if other != device)
        return last + REST_SECONDS - time.monotonic() if others and losses >= LOSSES_IN_A_ROW else 0.0

    def _hand_over(self, came: Sequence[list[Answer] | Incident | Exception]) -> None:
        with self._changed:
            self._scheduler.settling += len(came)
            for one in came:
                self._came.put(one)
            self._changed.notify_all()

    def _call(self, work: Work[Request]) -> tuple[Sequence[list[Answer] | Incident], Mapping[str, float] | None]:
        """Make a call; what came of it, and what the device now holds in memory (None if that is as before)."""
        assert work.size is not None
        entry, device = self.entries[work.want.model], self.devices[work.device]
        padding = work.size - len(work.items) if entry.needs_full_batches else 0
        padded = [*work.items, *[work.items[0]] * padding]
        call = Call(
            entry,
            tuple(request.value for request in padded),
            tuple(request.seed for request in padded) if work.want.modality is None else (),
            work.want.modality,
            work.release,
            self._limit(entry, work),
        )
        try:
            reply = device.call(call)
            if len(reply.outputs) != len(padded):
                raise BadOutput(f"{entry.name} gave {len(reply.outputs)} outputs for {len(padded)} inputs")
        except ModelLoadError:
            raise
        except Exception as error:
            if fault_of(error) not in ("device_lost", "timed_out"):
                return self._failed(work, error), None
            with self._changed:
                self._losses[work.device] = (self._losses[work.device][0] + 1, time.monotonic())
            return self._failed(work, error), {}
        self._note(work, reply)
        return self._answers(work, reply), reply.resident

    def _limit(self, entry: ModelEntry, work: Work[Request]) -> float:
        size = work.size or 1
        usual = self.facts.seconds(entry, self._hardware_of(work.device), size) if self.facts else None
        return max(LIMIT_SECONDS * size, LIMIT_FACTOR * (usual or 0.0))

    def _note(self, work: Work[Request], reply: Reply) -> None:
        entry, size = self.entries[work.want.model], work.size or 1
        with self._changed:
            self._hardware[work.device] = reply.device
            self._losses[work.device] = (0, 0.0)
            self.totals.calls += 1
            self.totals.model_seconds += reply.seconds
            self.totals.loading_seconds += reply.loading_seconds
        if self.facts:
            self.facts.note_call(entry, reply.device, size, reply.seconds)
            self.facts.note_load(entry, reply.device, reply.loading_seconds)
            if time.monotonic() - self._saved > SAVE_SECONDS:
                self._saved = time.monotonic()
                self.facts.save()

    def _answers(self, work: Work[Request], reply: Reply) -> list[list[Answer] | Incident]:
        entry, answers, doubtful = self.entries[work.want.model], [], []
        for request, output in zip(work.items, reply.outputs, strict=False):
            error = _fault(entry, output) if isinstance(output, Output) else None
            is_finite = not isinstance(output, Output) or "non_finite" not in output.flags
            if not request.alone and (error is not None or not is_finite):
                doubtful.append(request)
                continue
            answers.append(
                Answer(
                    request.key,
                    output if error is None else None,
                    error,
                    len(reply.outputs),
                    reply.seconds / len(work.items),
                    request.retries,
                    reply.device,
                    reply.started_at,
                    reply.completed_at,
                )
            )
        came: list[list[Answer] | Incident] = [answers] if answers else []
        if doubtful:
            came.append(self._incident(work, "bad_output", "an output was not sound; asked again", doubtful))
            self._again(work, doubtful, alone=True)
        return came

    def _failed(self, work: Work[Request], error: Exception) -> list[list[Answer] | Incident]:
        """Ask again what a failed call was to answer, or give its error as the answer."""
        fault, name = fault_of(error), self.entries[work.want.model].name
        size, message = work.size or 1, f"{type(error).__name__}: {error}"[:2000]
        came: list[list[Answer] | Incident] = [self._incident(work, fault, message, work.items)]
        if fault == "out_of_memory" and size > 1:
            with self._changed:
                self._sizes[name, work.device] = min(size // 2, self._sizes[name, work.device])
            if self.facts:
                self.facts.note_out_of_memory(self.entries[name], self._hardware_of(work.device), size)
            self._again(work, work.items, alone=False)
            return came
        is_loss = fault in ("device_lost", "timed_out")
        given_up = [r for r in work.items if r.alone and r.retries >= (_LOSSES if is_loss else _ERRORS)]
        others = [request for request in work.items if request not in given_up]
        self._again(work, others, alone=not is_loss or any(r.retries >= _LOSSES_TOGETHER for r in others))
        now, device = datetime.now(UTC), self._hardware_of(work.device)
        answers = [Answer(r.key, None, error, size, 0.0, r.retries, device, now, now) for r in given_up]
        return [*came, answers] if answers else came

    def _again(self, work: Work[Request], requests: Sequence[Request], alone: bool) -> None:
        with self._changed:
            for request in requests:
                once_more = replace(request, retries=request.retries + 1, alone=alone or request.alone)
                self._scheduler.add(work.want, once_more, request.step, once_more.alone)

    def _incident(self, work: Work[Request], kind: str, message: str, requests: Sequence[Request]) -> Incident:
        keys = tuple(request.key for request in requests)
        return Incident(kind, work.want.model, self._hardware_of(work.device), message, keys, datetime.now(UTC))

    def _probe(self, work: Work[Request]) -> None:
        """Find the batch size of a model that has none, with the first request that waits for it."""
        with self._changed:
            example = self._scheduler.first(work.want)
        entry, device = self.entries[work.want.model], self.devices[work.device]
        try:
            size = probe_batch(device, entry, example.value, work.want.modality, known=self.facts, release=work.release)
        except ModelLoadError:
            raise
        except Exception as error:
            size = 1  # the example may be at fault: its own call will tell, and what was found is on record
            message = f"probing failed, so batches are of 1: {type(error).__name__}: {error}"[:2000]
            self._hand_over([self._incident(work, fault_of(error), message, [example])])
        with self._changed:
            self._sizes[entry.name, work.device] = size


def _fault(entry: ModelEntry, output: Any) -> BadOutput | None:
    """What is wrong with an output that can't be stored; None if nothing is."""
    value = output.value
    if entry.gives == "text":
        if not isinstance(value, str):
            return BadOutput(f"{entry.name} gave {type(value).__name__}; its output must be a text")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return BadOutput(f"{entry.name} gave a text that is not Unicode: {error}")
        return None
    if not isinstance(value, np.ndarray):
        return BadOutput(f"{entry.name} gave {type(value).__name__}; its output must be a picture")
    if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or 0 in value.shape:
        shape = f"{value.dtype} {value.shape}"
        return BadOutput(f"{entry.name} gave {shape}; a picture is a uint8 array (height, width, 3)")
    return None


__all__ = ["Answer", "BadOutput", "Dispatcher", "Incident", "Request", "State"]

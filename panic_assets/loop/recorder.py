"""The recorder: encodes and writes in the background what the engine computes, so that a device never waits for a disk.

Here belong the order of writing (images before the invocations that name them), the checkpoint every few seconds, and
the bound on what may wait in memory. What to record is the engine's business.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from panic_assets.lake import Lake, images
from panic_assets.loop.events import numbered
from panic_assets.loop.pictures import Settled
from panic_assets.loop.places import settle_places

_TABLES = ("images", "invocations", "events")
#: What may wait to be encoded; and as much again, encoded, may wait for a commit.
WAITING_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Picture:
    """An image to store, and the invocation that first gave it."""

    settled: Settled
    run_number: int
    sequence_number: int


@dataclass(frozen=True)
class Entry:
    """What is written together or not at all: rows of ``invocations`` and the new pictures they name; and ``events``.

    Events come without ``experiment`` and ``number``.
    """

    invocations: list[dict[str, Any]]
    pictures: list[Picture]
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes in memory, roughly: all pixels, and a thousand for each row."""
        return sum(picture.settled.pixels.nbytes for picture in self.pictures) + 1000 * len(self.invocations)


@dataclass(frozen=True)
class _Queued:
    entry: Entry
    images: list[Future[dict[str, Any]]]


class Recorder:
    """Writes entries of one experiment in the order given. A context manager; leaving it commits everything.

    Only the recorder's thread touches the writers until it has ended. An error there (a full disk, say) is raised at
    the next :meth:`record` or on leaving; what was committed before stays committed.
    """

    def __init__(
        self,
        lake: Lake,
        experiment: str,
        image_format: str,
        *,
        commit_seconds: float = 5.0,
        waiting_bytes: int = WAITING_BYTES,
        encoders: int = 2,
    ) -> None:
        self._lake = lake
        self._experiment = experiment
        self._format = image_format
        self._commit_seconds = commit_seconds
        self._waiting_limit = waiting_bytes
        self._waiting_bytes = 0
        self._room = threading.Condition()
        self._encoders = ThreadPoolExecutor(encoders, thread_name_prefix="encode")
        self._queue: queue.Queue[_Queued | None] = queue.Queue()
        self._error: BaseException | None = None
        self._locks = ExitStack()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.waited_seconds = 0.0

    def __enter__(self) -> Recorder:
        """Take the locks of the tables and start.

        Raises:
            PartitionLocked: another engine is at work on this experiment.
        """
        with ExitStack() as locks:
            self._writers = {name: locks.enter_context(self._lake.writer(name, self._experiment)) for name in _TABLES}
            self._locks = locks.pop_all()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits, commit, give the locks back. What was computed before an error is kept all the same.

        Raises:
            LakeError, OSError: something could not be written.
        """
        self._queue.put(None)
        self._thread.join()
        self._encoders.shutdown(cancel_futures=True)
        failure = error or self._error
        try:
            if failure is None:
                settle_places(self._lake, self._experiment, self._writers["images"])
                for writer in self._writers.values():
                    writer.compact()
        except BaseException as late:
            failure = late
            raise
        finally:
            # Told of the failure, the writers drop what they could not commit; else they would complain of it instead.
            self._locks.__exit__(type(failure) if failure else None, failure, None)
        if self._error is not None and error is None:
            raise self._error

    def record(self, entry: Entry) -> None:
        """Queue an entry; waits while too much is queued.

        Raises:
            LakeError, OSError: an earlier entry could not be written.
        """
        started = time.perf_counter()
        with self._room:
            self._room.wait_for(
                lambda: (
                    self._error is not None
                    or self._waiting_bytes == 0
                    or self._waiting_bytes + entry.size <= self._waiting_limit
                )
            )
            if self._error is not None:
                raise self._error
            self._waiting_bytes += entry.size
        self.waited_seconds += time.perf_counter() - started
        futures = [self._encoders.submit(self._image_row, picture) for picture in entry.pictures]
        self._queue.put(_Queued(entry, futures))

    def _image_row(self, picture: Picture) -> dict[str, Any]:
        pixels, data = picture.settled.pixels, picture.settled.encoded
        data = images.encode(pixels, self._format) if data is None else data
        return {
            "experiment": self._experiment,
            "image_hash": picture.settled.image_hash,
            "run_number": picture.run_number,
            "sequence_number": picture.sequence_number,
            "format": self._format,
            "width": pixels.shape[1],
            "height": pixels.shape[0],
            "byte_size": len(data),
            "image": data,
        }

    def _run(self) -> None:
        try:
            self._write()
        except BaseException as error:
            with self._room:
                self._error = error
                self._room.notify_all()

    def _write(self) -> None:
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}
        encoded_bytes, last, is_over = 0, time.monotonic(), False
        while not is_over:
            try:
                item = self._queue.get(timeout=max(0.01, self._commit_seconds - (time.monotonic() - last)))
                is_over = item is None
                if item is not None:
                    new = [future.result() for future in item.images]
                    rows["images"] += new
                    rows["invocations"] += item.entry.invocations
                    rows["events"] += item.entry.events
                    encoded_bytes += sum(row["byte_size"] for row in new)
                    with self._room:
                        self._waiting_bytes -= item.entry.size
                        self._room.notify_all()
            except queue.Empty:
                pass
            is_due = time.monotonic() - last >= self._commit_seconds or encoded_bytes >= self._waiting_limit
            if is_over or is_due:
                self._commit(rows)
                encoded_bytes, last = 0, time.monotonic()

    def _commit(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """Images first: an invocation that is there always has its picture; a picture may wait for its invocation."""
        for name in _TABLES:
            if rows[name]:
                new = numbered(self._lake, self._experiment, rows[name]) if name == "events" else rows[name]
                self._writers[name].append(new)
                self._writers[name].commit()
            rows[name].clear()

"""The process of a device: takes calls from its parent, computes them as a local device does, answers.

Run as ``python -m panic_assets.devices.worker``, by ``process`` alone. Here belong the lanes, the answers, and the
ends of the process: when the parent is gone, and when the accelerator is poisoned. Limits are the parent's business.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
from collections import defaultdict
from typing import NoReturn

from panic_assets.devices.base import Call, Reply
from panic_assets.devices.failures import is_poisoned, pack
from panic_assets.devices.local import LocalDevice
from panic_assets.devices.wire import Description, Done, Failed, Message, Progress, Request, Wire
from panic_assets.errors import PanicError
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.entry import ModelEntry
from panic_assets.models.pool import ModelPool

POISONED_STATUS = 77
MARGIN, LEAST_MARGIN_GB = 0.1, 2.0
"""Of a GPU's memory, a tenth and at least 2 GiB are kept from the models' weights: for the driver's context, the
libraries' work space and activations. Estimated, not measured; batches that do not fit are halved by the caller."""

_GIB = 1024**3


class Worker:
    """Answers what comes over the wire, with as many threads as there are lanes."""

    def __init__(self, wire: Wire, device: str, capacity_gb: float | None, lanes: int) -> None:
        self._wire = wire
        self._pool = _TellingPool(self, device, capacity_gb)
        self._device = LocalDevice(self._pool, lanes=lanes)
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._on_weights: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._computing = threading.local()
        self._preparing = threading.Lock()

    def run(self) -> NoReturn:
        """Answer until the parent is gone, then end the process."""
        for lane in range(self._device.lanes):
            threading.Thread(target=self._lane, name=f"lane {lane}", daemon=True).start()
        parent = os.getppid()
        while True:
            # A process that the parent forked may hold the other end open after the parent's death.
            if not self._wire.has_news(1.0):
                if os.getppid() != parent:
                    _end(0)
                continue
            try:
                self._requests.put(self._wire.receive())
            except (EOFError, OSError):
                _end(0)

    def tell(self, message: Message) -> None:
        """Send to the parent; without a parent there is nothing left to do.

        Raises:
            Exception: whatever pickle raises for an object that it can't take.
        """
        frame = self._wire.pack(message)
        try:
            self._wire.write(frame)
        except OSError:
            _end(0)

    @property
    def number(self) -> int:
        """The request that this thread is computing."""
        return int(self._computing.number)

    def _lane(self) -> None:
        is_ready = False
        while True:
            request = self._requests.get()
            self._computing.number = request.number
            try:
                if not is_ready:
                    self._prepare()
                    is_ready = True
                result = self._describe() if request.call is None else self._compute(request.call)
                self.tell(Done(request.number, result))
                del result
            except BaseException as error:
                poisoned = is_poisoned(error)
                self.tell(Failed(request.number, pack(error), poisoned))
                if poisoned:
                    _end(POISONED_STATUS)
            del request  # its pictures are not kept while the lane waits

    def _compute(self, call: Call) -> Reply:
        # A call that waits for its weights has not begun, so that its time does not count.
        with self._on_weights[call.entry.load_identity]:
            return self._device.call(call)

    def _describe(self) -> Description:
        return Description(self._device.hardware, self._pool.capacity_gb)

    def _prepare(self) -> None:
        """What each thread has to do before it can use a GPU.

        Raises:
            PanicError: there is no such GPU.
        """
        device = self._pool.device
        if not device.startswith("cuda"):
            return
        import torch

        with self._preparing:
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if (torch.device(device).index or 0) >= count:
                raise PanicError(
                    f"{device}: torch sees {count} CUDA devices here; name one of those, or use another "
                    "device such as cpu. CUDA_VISIBLE_DEVICES hides devices, and a torch built for the CPU sees none"
                )
            torch.cuda.set_device(device)  # of this thread; libraries ask for "the current device"
            if self._pool.capacity_gb is None:
                memory_gb = torch.cuda.get_device_properties(device).total_memory / _GIB
                self._pool.capacity_gb = memory_gb - max(LEAST_MARGIN_GB, MARGIN * memory_gb)


class _TellingPool(ModelPool):
    """Tells the parent when a model is being loaded and when it is there: the two have limits of their own."""

    def __init__(self, worker: Worker, device: str, capacity_gb: float | None) -> None:
        super().__init__(device, capacity_gb)
        self._worker = worker
        self._loading = threading.Lock()

    def get(self, entry: ModelEntry) -> LoadedModel:
        with self._loading:
            self._worker.tell(Progress(self._worker.number, "loading"))
            model = super().get(entry)
        self._worker.tell(Progress(self._worker.number, "computing"))
        return model


def _end(status: int) -> NoReturn:
    """End at once, whatever other threads do: nothing here outlives the process."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def main() -> NoReturn:
    """Read what the parent wants and work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device")
    parser.add_argument("--wire", type=int, required=True, help="file descriptor of the socket to the parent")
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--capacity-gb", type=float)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal reaches both; the parent says what follows
    faulthandler.enable(all_threads=False)  # the parent tells the last lines: those of the thread that crashed
    end = socket.socket(fileno=options.wire)
    end.set_inheritable(False)
    Worker(Wire(end), options.device, options.capacity_gb, options.lanes).run()


if __name__ == "__main__":
    main()

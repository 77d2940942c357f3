"""The device of this process: a pool of models and the calls into them. Nothing lies between caller and model.

Every other device does its work, in the end, through this one. A hung call can't be ended here, and a lost GPU takes
the process with it: what must survive those computes in a process of its own.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from panic_assets.devices.base import Call, Reply, fault_of
from panic_assets.devices.hardware import may_have_accelerator
from panic_assets.errors import PanicError
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.entry import ModelEntry
from panic_assets.models.errors import ModelLoadError
from panic_assets.models.pool import ModelPool

_GIB = 1024**3


class LocalDevice:
    """Calls models in this process. Its models are those of ``pool``, which several devices of tests may share."""

    def __init__(self, pool: ModelPool | None = None, *, name: str | None = None, lanes: int = 1) -> None:
        self.pool = pool or ModelPool()
        self._name, self.lanes = name or self.pool.device, lanes
        self._hardware: str | None = None

    @property
    def name(self) -> str:
        """See :class:`panic_assets.devices.base.Device`."""
        return self._name

    @property
    def capacity_gb(self) -> float | None:
        """What the pool may hold."""
        return self.pool.capacity_gb

    @property
    def hardware(self) -> str:
        """What computes: a GPU by its product name, else the name torch gives the device. Costs no torch on a CPU."""
        if self._hardware is None:
            self._hardware = _hardware(self.pool.device)
        return self._hardware

    def call(self, call: Call) -> Reply:
        """See :class:`panic_assets.devices.base.Device`; ``limit_seconds`` is not heeded."""
        before = time.perf_counter()
        self.pool.release(call.release)
        model = self._loaded(call.entry)
        started_at, started = datetime.now(UTC), time.perf_counter()
        outputs = (
            model.invoke(call.inputs, call.seeds) if call.modality is None else model.embed(call.inputs, call.modality)
        )
        ended = time.perf_counter()
        return Reply(
            outputs,
            seconds=ended - started,
            loading_seconds=started - before,
            started_at=started_at,
            completed_at=datetime.now(UTC),
            device=self.hardware,
            resident=self.pool.resident,
            peak_gb=self._peak_gb(),
        )

    def _loaded(self, entry: ModelEntry) -> LoadedModel:
        """The model; where memory is short, everything else goes first.

        Raises:
            ModelLoadError: it can't be loaded, for whatever reason: it would fail for every batch alike.
        """
        try:
            try:
                return self.pool.get(entry)
            except Exception as error:
                if fault_of(error) != "out_of_memory" or not self.pool.resident:
                    raise
                self.pool.release(self.pool.resident)
                return self.pool.get(entry)
        except PanicError:
            raise
        except Exception as error:
            remedy = "Mend that, or give it another device, dtype or offload; panic models check shows more."
            raise ModelLoadError(
                entry.name, str(entry.source), f"loading failed with {type(error).__name__}: {error}", remedy
            ) from error

    def close(self) -> None:
        """Let go of the models."""
        self.pool.close()

    def _peak_gb(self) -> float | None:
        torch = sys.modules.get("torch")
        if torch is None or not self.pool.device.startswith(("cuda", "auto")) or not torch.cuda.is_available():
            return None
        return float(torch.cuda.max_memory_allocated() / _GIB)


def _hardware(wanted: str) -> str:
    if wanted == "cpu" or (wanted == "auto" and not may_have_accelerator()):
        return "cpu"
    import torch

    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return str(torch.cuda.get_device_name(wanted)) if wanted.startswith("cuda") else wanted

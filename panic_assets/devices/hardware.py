"""What this machine has to compute with, found out without loading torch or waking a GPU in this process.

Here belong looking and counting. Which of it is used is the business of ``fleet``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from panic_assets.errors import PanicError

#: NVIDIA's devices, AMD's, and the one that stands for either under Windows' Linux.
_DEVICE_FILES = ("nvidia[0-9]*", "kfd", "dxg")
_COUNTING_SECONDS = 300.0
_COUNT = """
import json, torch
cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
print(json.dumps({"cuda": cuda, "mps": torch.backends.mps.is_available()}))
"""


@dataclass(frozen=True)
class Accelerators:
    """How many CUDA (or ROCm) devices torch can use here, and whether it can use Apple's GPU."""

    cuda: int = 0
    mps: bool = False


def may_have_accelerator() -> bool:
    """Whether there can be a GPU at all. Costs nothing; most machines without one are known by this."""
    return sys.platform == "darwin" or any(any(Path("/dev").glob(name)) for name in _DEVICE_FILES)


def accelerators() -> Accelerators:
    """Ask torch, in another process, that comes to its end before anything else begins.

    Tools of the driver would be faster, but list devices that ``CUDA_VISIBLE_DEVICES`` hides, in another order than
    torch numbers them, or that this torch was not built for.

    Raises:
        PanicError: there may be a GPU, and torch could not be asked.
    """
    if not may_have_accelerator():
        return Accelerators()
    command = [sys.executable, "-P", "-c", _COUNT]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COUNTING_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return Accelerators(**json.loads(done.stdout.strip().splitlines()[-1]))
        problem = done.stderr.strip()[-1000:]
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    raise PanicError(f"torch could not be asked which GPUs there are, {problem}; name the device, such as cpu")


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

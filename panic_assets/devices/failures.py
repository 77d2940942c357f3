"""Errors on their way from one process to another, and which of them mean that a GPU is lost to its process.

Here belong packing and unpacking an exception and the texts of a poisoned accelerator. What follows from an error is
the business of the side that gets it.
"""

from __future__ import annotations

import io
import pickle
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from panic_assets.devices.base import RemoteError

POISONED = (
    # What cudaGetErrorString says for the codes of which the CUDA Runtime API reference (section "Data types used by
    # CUDA Runtime", enum cudaError) says that "the process must be terminated and relaunched". HIP has the same texts.
    "an illegal memory access was encountered",  # cudaErrorIllegalAddress, 700
    "the launch timed out and was terminated",  # cudaErrorLaunchTimeout, 702
    "device-side assert triggered",  # cudaErrorAssert, 710
    "hardware stack error",  # cudaErrorHardwareStackError, 714
    "an illegal instruction was encountered",  # cudaErrorIllegalInstruction, 715
    "misaligned address",  # cudaErrorMisalignedAddress, 716
    "operation not supported on global/shared address space",  # cudaErrorInvalidAddressSpace, 717
    "invalid program counter",  # cudaErrorInvalidPc, 718
    "unspecified launch failure",  # cudaErrorLaunchFailure, 719
    "uncorrectable ecc error encountered",  # cudaErrorECCUncorrectable, 214: memory of the device can't be trusted
    # Status names of the cuBLAS and cuDNN references: a kernel of theirs failed to run on the GPU.
    "cublas_status_execution_failed",
    "cudnn_status_execution_failed",
)
"""Texts, in lower case, of errors after which every further call of the process fails."""

_ACCELERATOR = re.compile(r"cuda|\bhip\b|cublas|cudnn|accelerator", re.IGNORECASE)


@dataclass(frozen=True)
class PackedError:
    """An exception that can travel: its class name and text always, itself where pickle can take it."""

    kind: str
    message: str
    pickled: bytes | None
    trace: str


def pack(error: BaseException) -> PackedError:
    """Make an exception fit for travel. What is no ``Exception``, such as ``SystemExit``, travels as a description."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    pickled = None
    if isinstance(error, Exception):
        try:
            pickled = pickle.dumps(error, protocol=5)
        except Exception:
            pickled = None
    return PackedError(type(error).__name__, str(error), pickled, trace)


def unpack(packed: PackedError) -> Exception:
    """The exception itself, or a ``RemoteError`` where it can't be made again here; the far traceback is a note of it.

    Nothing is imported for it but this package: an error of torch does not bring torch into a process without it.
    """
    error = _revived(packed) or RemoteError(packed.kind, packed.message)
    error.add_note(f"In the process of the device:\n{packed.trace}")
    return error


def is_poisoned(error: BaseException) -> bool:
    """Whether an error, or what it came from, means that the accelerator is lost to this process."""
    texts = [str(one) for one in _chain(error)]
    return any(_ACCELERATOR.search(text) and any(sign in text.lower() for sign in POISONED) for text in texts)


def _revived(packed: PackedError) -> Exception | None:
    if packed.pickled is None:
        return None
    try:
        error = _NoImports(io.BytesIO(packed.pickled)).load()
        is_same = type(error).__name__ == packed.kind and str(error) == packed.message
    except Exception:  # whatever a constructor makes of arguments that are not its own
        return None
    return error if is_same and isinstance(error, Exception) else None


class _NoImports(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module not in sys.modules and not module.startswith("panic_assets."):
            raise pickle.UnpicklingError(f"{module} is not imported here")
        return super().find_class(module, name)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__

"""Finding the batch size of a model on a device, by trying.

Here belongs the search alone. What it finds is remembered by ``known``. The size of a batch changes the bits of a
result: whoever uses what is found records it with each invocation.
"""

from __future__ import annotations

from typing import Any

from panic_assets.devices.base import Call, Device, Reply, fault_of
from panic_assets.devices.known import KnownFacts
from panic_assets.models.entry import Medium, ModelEntry
from panic_assets.models.errors import ModelLoadError

#: A device that can ends a call that takes longer than this for each of its items.
LIMIT_SECONDS = 300.0


def probe_batch(
    device: Device,
    entry: ModelEntry,
    example: Any,
    modality: Medium | None = None,
    *,
    known: KnownFacts | None,
    limit: int = 64,
    gain: float = 1.05,
    release: tuple[str, ...] = (),
) -> int:
    """The largest batch size, a power of two, that is worth it.

    Calls the model with 1, 2, 4, ... copies of ``example``, until a size fails, or an item takes less than ``gain``
    times less than it did in the size before, or ``limit`` is reached. A first call is often slow: one item is called
    for twice, and a size that seems not to be worth it too; the faster call counts. No size is tried that is known to
    run out of memory, and nothing after the first that does.

    Once a single item went well, any error of a larger batch means that it does not fit; a device that is lost starts
    again by itself. If a single item runs out of memory, or loses the device, the answer is 1 and is not remembered:
    the call that follows shows what is wrong.

    Args:
        device: where to try; nothing else should compute there at the same time.
        entry: the model; its registered batch size is not looked at.
        example: a typical input.
        modality: of an embedder, the medium of ``example``; None for a generator, which gets the seeds 0, 1, ...
        known: where each call, load and result is noted; not saved.
        limit: the largest size to try.
        gain: how many times faster an item must become.
        release: models, by ``load_identity``, to be let go first.

    Raises:
        ModelLoadError: the model can't be loaded.
        Exception: what the model raised for a single item, such as that ``example`` is no input for it.
    """

    def seconds(size: int) -> float:
        """Of one item, in a call of so many."""
        seeds = () if modality is not None else tuple(range(size))
        call = Call(entry, (example,) * size, seeds, modality, release if size == 1 else (), LIMIT_SECONDS * size)
        reply = device.call(call)
        _note(known, entry, size, reply)
        return reply.seconds / size

    try:
        best, least = 1, min(seconds(1), seconds(1))
    except ModelLoadError:  # it may be for want of memory, which a smaller batch would not mend
        raise
    except Exception as error:
        if fault_of(error) == "error":
            raise
        return 1
    failed = known.batch_failed(entry, device.hardware) if known else None
    size, largest = 2, min(limit, failed - 1) if failed else limit
    try:
        while size <= largest:
            each = seconds(size)
            if each * gain > least:
                each = min(each, seconds(size))
            if each * gain > least:
                break
            best, least, size = size, each, 2 * size
    except ModelLoadError:
        raise
    except Exception as error:
        if known and fault_of(error) == "out_of_memory":
            known.note_out_of_memory(entry, device.hardware, size)
    if known:
        known.note_probed(entry, device.hardware, best)
    return best


def _note(known: KnownFacts | None, entry: ModelEntry, size: int, reply: Reply) -> None:
    if known:
        is_alone = set(reply.resident) == {entry.load_identity}
        known.note_load(entry, reply.device, reply.loading_seconds, reply.peak_gb if is_alone else None)
        known.note_call(entry, reply.device, size, reply.seconds)

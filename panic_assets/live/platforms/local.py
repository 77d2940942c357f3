"""The generators of the registry as live models: texts and pictures, computed on devices here or shared ones.

All networks use the same warm models. Here belongs what goes into a device and comes out of it; queueing is ``bench``'s
business, loading and calling that of ``devices`` and ``models``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial

import numpy as np

from panic_assets.devices.base import Call as DeviceCall
from panic_assets.devices.base import DeviceLost, RemoteError, Reply, fault_of
from panic_assets.devices.fleet import Fleet, open_devices
from panic_assets.errors import PanicError
from panic_assets.lake import images
from panic_assets.lake.errors import CorruptImage
from panic_assets.live.platforms.base import Answer, Call, LiveModel, PlatformError
from panic_assets.live.platforms.bench import Bench
from panic_assets.live.platforms.exchange import given_bytes, given_text, text_value
from panic_assets.live.platforms.settings import LocalSettings
from panic_assets.live.records import ErrorKind
from panic_assets.live.values import Value
from panic_assets.models.base import Output
from panic_assets.models.entry import ModelEntry
from panic_assets.models.errors import ModelCallError, ModelError
from panic_assets.models.registry import load_registry

#: Memory may be there again in a moment, since other models come and go; a device that was lost is started again.
_KINDS: dict[str, ErrorKind] = {"out_of_memory": "transient", "timed_out": "timeout", "device_lost": "transient"}


class Local:
    """See :class:`panic_assets.live.platforms.base.Platform`.

    Args:
        registry: the models by name; None for those of this installation.
        devices: as in ``panic run --devices``; opened at the first call, and a shared service's devices likewise.
    """

    name, bills = "local", False

    def __init__(self, registry: Mapping[str, ModelEntry] | None = None, devices: str = "auto") -> None:
        self._registry, self._spec = registry, devices
        self._opening = asyncio.Lock()
        self._fleet: Fleet | None = None
        self._benches: list[Bench] = []
        self._is_closed = False

    async def invoke(self, call: Call) -> Answer:
        """See :class:`panic_assets.live.platforms.base.Platform`. The answer tells the seed that was used.

        A call that is cancelled leaves the queue; one that has begun goes on to its end, and nobody hears of it.
        """
        asked = LocalSettings.model_validate(call.model.settings)
        try:
            entry = await asyncio.to_thread(self._entry, call.model, asked)
            given = await asyncio.to_thread(_given, call)
            await self._open()
            seed = secrets.randbits(63) if asked.seed is None else asked.seed
            wanted = DeviceCall(entry, (given,), (seed,), limit_seconds=call.model.timeout_seconds)
            told = self._bench(entry).put(wanted)
        except PanicError as error:
            raise _as_platform_error(call.model, error) from error
        reply = await self._reply(call.model, told)
        value = await asyncio.to_thread(_value, call.model, reply)
        return Answer(value, call.model.cost_per_call, seed=seed)

    async def close(self) -> None:
        """Let go of the devices and their models; calls that wait fail."""
        self._is_closed = True
        for bench in self._benches:
            bench.close()
        if self._fleet is not None:
            await asyncio.to_thread(self._fleet.close)
        self._fleet = None

    async def _reply(self, model: LiveModel, told: Future[Reply]) -> Reply:
        waiting = asyncio.wrap_future(told)
        try:
            done, _ = await asyncio.wait({waiting}, timeout=model.timeout_seconds)
        except asyncio.CancelledError:
            waiting.cancel()
            raise
        if not done:
            waiting.cancel()
            what = f"{model.id} gave nothing within {model.timeout_seconds:g} seconds, loading and waiting included"
            raise PlatformError("timeout", f"{what}. Raise timeout_seconds, or let fewer networks use it.")
        try:
            return waiting.result()
        except Exception as error:
            raise _as_platform_error(model, error) from error

    async def _open(self) -> None:
        async with self._opening:
            if self._is_closed:
                raise DeviceLost("the devices of this house are closed")
            if self._fleet is None:
                self._fleet = await asyncio.to_thread(partial(open_devices, self._spec))
                self._benches = [Bench(device) for device in self._fleet.devices]

    def _bench(self, entry: ModelEntry) -> Bench:
        """The device that will be free first, of those that have the model in memory if any has."""
        return min(self._benches, key=lambda bench: bench.load(entry.load_identity))

    def _entry(self, model: LiveModel, asked: LocalSettings) -> ModelEntry:
        if self._registry is None:
            self._registry = load_registry()
        entry = self._registry[model.path]
        if (entry.input, entry.output) != (model.takes, model.gives):
            what = f"{entry.input} to {entry.output}, not {model.takes} to {model.gives}"
            raise PlatformError("invalid", f"{model.id}: {entry.name} makes {what}. Correct its entry in the catalog.")
        return entry.with_overrides({"parameters": asked.parameters}) if asked.parameters else entry


def _given(call: Call) -> str | np.ndarray:
    if call.model.takes == "text":
        return given_text(call.model, call.input)
    return images.decode(given_bytes(call.model, call.input)[0])


def _value(model: LiveModel, reply: Reply) -> Value:
    """The value of the only output of a call.

    Raises:
        PlatformError: it can't be shown: blank, held back by a safety checker, or without finite values.
    """
    output = reply.outputs[0]
    if not isinstance(output, Output):
        raise PlatformError("internal", f"{model.id} gave {type(output).__name__}; it should be a text or a picture")
    if "flagged_by_safety_checker" in output.flags:
        raise PlatformError("moderation", f"the safety checker of {model.id} held its picture back")
    if "non_finite" in output.flags:
        raise PlatformError("transient", f"the picture of {model.id} had values that are not finite; try other noise")
    if model.gives == "text":
        return text_value(model, output.value)
    try:
        return Value("image", data=images.encode(np.asarray(output.value), "png"), media_type="image/png")
    except ValueError as error:
        raise PlatformError("internal", f"{model.id}: {error}") from error


def _as_platform_error(model: LiveModel, error: BaseException) -> PlatformError:
    """What an error of devices or models means for a live run."""
    if isinstance(error, PlatformError):
        return error
    words = str(error) or type(error).__name__
    kind = _KINDS.get(fault_of(error))
    if kind is None:
        is_input = isinstance(error, CorruptImage | ModelCallError) or (
            isinstance(error, RemoteError) and error.kind == ModelCallError.__name__
        )
        kind = "invalid" if is_input else "internal"
    told = words if isinstance(error, ModelError) and words.startswith(model.path) else f"{model.id}: {words}"
    return PlatformError(kind, told[:500])

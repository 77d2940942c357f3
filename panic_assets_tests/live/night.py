"""A night in a gallery for tests: rings of dummies with all that goes wrong in one, in a real store and archive."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from panic_assets.live.archive import Archive
from panic_assets.live.catalog import load_catalog
from panic_assets.live.hub import Hub
from panic_assets.live.platforms.base import Answer, Call, LiveModel, PlatformError
from panic_assets.live.platforms.dummy import Dummy
from panic_assets.live.records import ErrorKind, Invocation, Limits, OnError, Pacing, Run
from panic_assets.live.runner import Runners, Started
from panic_assets.live.store import Store
from panic_assets_tests.live.rings import JumpingClock, Threads

PICTURES, SOUNDS, WORDS = ("dummy-t2i", "dummy-i2t"), ("dummy-t2a", "dummy-a2t"), ("dummy-t2t", "dummy-t2t")
#: No wait is part of what is tested here.
AT_ONCE = Pacing(steps=((None, 1.0),), board_rest=0.0, first_rest=0.0)
PATIENT = OnError(attempts=3, first_wait=1.0, longest_wait=1.0)


class Moody(Dummy):
    """A dummy of which the calls of a model, by number from 1, fail as ``moods`` says; a real medium otherwise."""

    def __init__(self, moods: dict[tuple[str, int], ErrorKind]) -> None:
        super().__init__()
        self.moods, self.counts = moods, Counter[str]()

    async def invoke(self, call: Call) -> Answer:
        self.counts[call.model.id] += 1
        count = self.counts[call.model.id]
        mood = self.moods.get((call.model.id, count))
        if mood is not None:
            raise PlatformError(mood, f"call {count} of {call.model.id} fails")
        return replace(await super().invoke(call), seed=count)


@dataclass
class House:
    """A data directory with a live store, its archive and runners. To be made and used within an event loop."""

    data: Path
    clock: JumpingClock = field(default_factory=JumpingClock)
    platform: Moody = field(default_factory=lambda: Moody({}))

    def __post_init__(self) -> None:
        (self.data / "live").mkdir(parents=True, exist_ok=True)
        self.store = open_store(self.data, self.clock)
        self.store.migrate()
        archive, hub = open_archive(self.data, self.store), Hub()
        self.runners = Runners(
            self.store, catalog(), {"dummy": self.platform}, archive, hub, lambda name: "", self.clock
        )
        self.threads = Threads()

    def network(self, name: str, models: tuple[str, ...], length: int = 1000) -> str:
        limits = Limits(invocations=length)
        made = self.store.create_network(
            name, models=models, lockout_seconds=0.0, pacing=AT_ONCE, limits=limits, on_error=PATIENT
        )
        return made.id

    async def prompt(self, network: str, text: str, rounds: int) -> Run:
        """Prompt, and let so many rests pass."""
        started = await self.runners.start(network, text, "user:me")
        assert isinstance(started, Started)
        await self.rounds(rounds)
        return started.run

    async def rounds(self, count: int) -> None:
        for _ in range(count):
            await self.settle()
            if self.clock.sleeping:
                self.clock.jump()
        await self.settle()

    async def settle(self) -> None:
        """Until every run rests."""
        quiet = 0
        while quiet < 8:
            await asyncio.sleep(0)
            if self.threads.busy:
                await asyncio.sleep(0.0005)
            quiet = 0 if self.threads.busy else quiet + 1

    async def close(self) -> None:
        await self.runners.close()
        self.store.close()


def catalog() -> dict[str, LiveModel]:
    return load_catalog({})


def open_store(data: Path, clock: JumpingClock | None = None) -> Store:
    address = f"sqlite:///{data / 'live' / 'live.db'}"
    return Store(address, now=clock.now) if clock else Store(address)


def open_archive(data: Path, store: Store) -> Archive:
    return Archive(str(data / "live" / "media"), store)


async def pass_a_night(data: Path) -> None:
    """500 invocations and more on four rings, two of one name, two days, and a run that goes on at the end."""
    moods: dict[tuple[str, int], ErrorKind] = {("dummy-i2t", n): "moderation" for n in (9, 24, 41, 42, 60)}
    moods |= {("dummy-t2t", n): "transient" for n in (12, 30, 31)}
    moods |= {("dummy-t2t", 70): "moderation", ("dummy-i2a", 6): "timeout", ("dummy-i2a", 20): "quota"}
    house = House(data, platform=Moody(moods))
    one = house.network("Night Ring", PICTURES, length=40)
    house.clock.jump(1.0)  # the older one keeps the plain name
    other = house.network("Night ring!", WORDS)
    loud = house.network("Réveil", SOUNDS, length=9)
    mixed = house.network("深夜", ("dummy-t2i", "dummy-i2a", "dummy-a2t"))
    for number, prompt in enumerate(("a fox", "a boat", "a fox")):
        await house.prompt(one, prompt, 1)
        await house.prompt(other, f"word {number}", 1)
        await house.prompt(loud, "an owl", 1)
        await house.prompt(mixed, "a clock", 60)
    await house.runners.stop(mixed)
    await house.prompt(one, "until its end", 160)
    house.clock.jump(16 * 3600.0 - (house.clock.now().hour * 3600.0 - 9 * 3600.0))  # into the day after
    await house.prompt(one, "a fox", 110)
    await house.runners.stop(one)
    await house.prompt(other, "after midnight", 150)
    await house.runners.stop(loud)
    await house.close()


def rows_of(store: Store) -> list[tuple[Run, list[Invocation]]]:
    """Everything that the store says of runs."""
    found = [(run, store.invocations(run.id)) for network in store.networks() for run in store.runs(network.id, 10_000)]
    return found[::-1]

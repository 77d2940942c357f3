"""A crowd before many screens: what each heard, whether anything was lost or told twice, and how late it came.

Here belongs what the test of the crowd and its benchmark share.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from panic_assets_tests.web.listening import Audience, Listener, until
from panic_assets_tests.web.server import Person


@dataclass(frozen=True)
class Crowd:
    """Listeners by network, and the invocations that each run is to have."""

    listeners: dict[str, list[Listener]]
    invocations: int

    def has_seen_all(self) -> bool:
        """Whether everybody saw the end of the run."""
        return all(
            any(event.data["state"] == "ended" for event in listener.of("run"))
            for group in self.listeners.values()
            for listener in group
        )

    def problems(self) -> list[str]:
        """What was lost, told twice, or told in another order; empty if all is well."""
        found, numbers = [], set()
        for network, group in self.listeners.items():
            heard = [[event.number for event in listener.heard if event.kind != "state"] for listener in group]
            expected = sorted({number for one in heard for number in one})
            found += [f"{network}: a listener heard {len(one)} of {len(expected)}" for one in heard if one != expected]
            numbers |= set(expected)
            steps = [event.data["sequence_number"] for event in completed(group[0])]
            if steps != list(range(self.invocations)):
                found.append(f"{network}: the completed invocations are {steps}")
        # Events are numbered without a hole over all networks, and each network has its listeners.
        holes = set(range(min(numbers, default=0), max(numbers, default=-1) + 1)) - numbers
        return found + ([f"nobody heard {len(holes)} events"] if holes else [])

    def delays(self) -> list[float]:
        """Seconds from when an invocation was completed, as its row says, to when each listener heard of it."""
        ahead = time.time() - time.perf_counter()
        return [
            event.at + ahead - datetime.fromisoformat(event.data["completed_at"]).timestamp()
            for group in self.listeners.values()
            for listener in group
            for event in completed(listener)
        ]


def completed(listener: Listener) -> list[Any]:
    """The events of completed invocations, in the order in which they came."""
    return [event for event in listener.of("invocation") if event.data["state"] == "completed"]


def gather(
    owner: Person,
    audience: Audience,
    networks: int,
    listeners: int,
    invocations: int,
    rest_seconds: float,
    models: Sequence[str] = ("dummy-t2t",),
) -> Crowd:
    """Networks, each with so many listeners, who have all seen the state before anything happens."""
    groups: dict[str, list[Listener]] = {}
    for number in range(networks):
        fields = {
            "name": f"Network {number}",
            "models": list(models),
            "is_public": True,
            "lockout_seconds": 0,
            "pacing": {"steps": [[None, rest_seconds]]},
            "limits": {"invocations": invocations},
        }
        network = owner.post("/api/networks", json=fields).json()["id"]
        path = f"/api/networks/{network}/events"
        groups[network] = [audience.listen(path) for _ in range(listeners)]
    until(lambda: all(one.heard for group in groups.values() for one in group), "every state", 60)
    return Crowd(groups, invocations)


def perform(owner: Person, crowd: Crowd, seconds: float) -> float:
    """Prompt every network and wait until everybody has seen the end; seconds that it took."""
    began = time.perf_counter()
    for number, network in enumerate(crowd.listeners):
        answer = owner.post(f"/api/networks/{network}/prompts", json={"prompt": f"prompt {number}"})
        assert answer.status_code == 201, answer.text
    until(crowd.has_seen_all, "everybody sees the end", seconds)
    return time.perf_counter() - began

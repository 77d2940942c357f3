"""The schedule that was published with the panel, as a small simulation: one network after another, in lockstep.

Here belongs what its authors describe and nothing of ours: networks in the order of their names; all runs of a network
take a step together; a step is as many calls as its cap of a batch makes of the runs; before a step its model is moved
to the device, after it back, those apart that stay in host memory and stream; between networks all are unloaded.
Moving back is not counted, since it was not published, and neither are faults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from benchmarks.panel import Reading, panel, peer_costs


@dataclass
class PeerRun:
    """What the schedule takes, in seconds; ``began`` when each network began, in order."""

    seconds: float = 0.0
    swap_seconds: float = 0.0
    swaps: int = 0
    model_seconds: dict[str, float] = field(default_factory=dict)
    began: list[float] = field(default_factory=list)


def simulate_peer(reading: Reading = "decomposed") -> PeerRun:
    """The whole panel."""
    data, costs, made = panel(), peer_costs(reading), PeerRun()
    models = data["models"]
    networks = sorted((a, b) for a in models for b in models if (models[a]["gives"], models[b]["gives"]) == _RING)
    runs = data["prompts"] * data["replicates"]
    for network in networks:
        made.began.append(made.seconds)
        present: set[str] = set()
        for step in range(data["max_length"]):
            name = network[step % len(network)]
            if name not in present:
                made.swaps += 1
                made.swap_seconds += costs[name].load_seconds
                made.seconds += costs[name].load_seconds
            present = (present | {name}) if not models[name]["swaps"] else present
            seconds = _step_seconds(name, runs, reading)
            made.model_seconds[name] = made.model_seconds.get(name, 0.0) + seconds
            made.seconds += seconds
    return made


_RING = ("image", "text")


def _step_seconds(name: str, runs: int, reading: Reading) -> float:
    one = peer_costs(reading)[name]
    whole, rest = divmod(runs, one.batch)
    return whole * one.call_seconds(one.batch) + math.ceil(rest / one.batch) * one.call_seconds(rest)

"""A lake with pictures for the tests of exports, and looks into files. No tests here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from panic_assets.clustering.stage import cluster_lake
from panic_assets.devices.local import LocalDevice
from panic_assets.lake import Lake
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.planning import resolve_models
from panic_assets.topology.stage import persist_experiment
from panic_assets_tests.loop.parts import experiment, plain_pool, registry, run

NAME = "small"


def picture_lake(root: Path, **values: object) -> Lake:
    """Two prompts, two networks (one of texts alone), a seeded and an unseeded run of each, all tables filled."""
    settings = {
        "networks": [["DummyT2I", "DummyI2T"], ["DummyT2T"]],
        "prompts": ["a boat", "ein Hügel <&> 丘"],
        "seeds": [7, -1],
        "models": {
            "DummyT2I": {"parameters": {"side": 24, "states": 5}},
            "DummyI2T": {"parameters": {"states": 5}},
        },
        "max_length": 12,
        "embedding_models": ["DummyText", "DummyVision"],
    }
    asked = experiment(**(settings | values))
    lake = Lake(root)
    run(lake, asked)
    embed_experiment(lake, asked, resolve_models(asked, registry()), [LocalDevice(plain_pool())])
    persist_experiment(lake, NAME)
    cluster_lake(lake)
    return lake


def near(first: np.ndarray, second: np.ndarray, most: float) -> bool:
    """Whether the mean difference of two pictures, of 255, is at most so large."""
    return float(np.abs(first.astype(int) - second.astype(int)).mean()) <= most

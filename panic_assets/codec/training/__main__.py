"""``python -m panic_assets.codec.training``: make the pictures, train, export, judge.

Here belongs the command line alone. A training that was stopped goes on from its last checkpoint in the work folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from panic_assets.codec.training import evaluate, export, fit, images
from panic_assets.paths import project_dir


def main() -> None:
    """Parse the command line and do what it asks."""
    parser = argparse.ArgumentParser(prog="python -m panic_assets.codec.training", description="Train the codec model.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=project_dir() / "data" / "models" / "latent-codec")
    parser.add_argument("--work", type=Path, default=Path("data/cache/codec-training"))
    parser.add_argument("--threads", type=int, default=1, help="bits depend on it; the shipped weights used 1")
    parser.add_argument("--export-only", action="store_true", help="export the newest checkpoint as it stands")
    parser.add_argument("--judge", choices=["validation", "test", "none"], default="test")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pools = images.Pools.cached(options.work, options.seed)
    codec = fit.latest(options.work) if options.export_only else fit.fit(pools, options.seed, options.work)
    export.export(codec, pools.sample(), options.out)
    if options.judge != "none":
        evaluate.evaluate(options.out, options.judge, options.out / "evaluation.json")


if __name__ == "__main__":
    main()

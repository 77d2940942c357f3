"""An engine in a process of its own that takes its time, to be looked at and killed: ``python -m ... DATA NAME``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from panic_assets.files import ExperimentFiles
from panic_assets.lake import Lake
from panic_assets_tests.loop.parts import WatchedPool, run


def main() -> None:
    data, name = Path(sys.argv[1]), sys.argv[2]
    asked = ExperimentFiles(data / "experiments").experiment(name)
    pool = WatchedPool(watch=lambda entry, inputs, seeds: time.sleep(0.05))
    run(Lake(data / "lake"), asked, pool, commit_seconds=0.05)


if __name__ == "__main__":
    main()

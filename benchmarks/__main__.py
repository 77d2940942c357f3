"""All benchmarks, one after another: ``make bench``. Arguments are passed on, such as ``--quick``."""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = (
    *("engine", "demo", "devices", "plan", "topology", "distances", "importing", "live", "ml_events", "codec"),
    "image_formats",
)

if __name__ == "__main__":
    for name in NAMES:
        print(f"== {name}", flush=True)
        import_module(f"benchmarks.{name}").main(sys.argv[1:])

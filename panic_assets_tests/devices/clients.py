"""A client in a process of its own: ``python -m panic_assets_tests.devices.clients MODEL CALLS THREADS TEXT``.

Opens the shared devices, writes ``ready``, and for each line that it reads makes so many calls from so many threads
at once; then it writes the outputs as a line of JSON.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from panic_assets.devices.base import Call
from panic_assets.devices.fleet import open_devices
from panic_assets.models.registry import load_registry


def main() -> None:
    name, calls, threads, text = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    entry = load_registry()[name]
    with open_devices("shared:cpu") as fleet, ThreadPoolExecutor(threads) as pool:
        print("ready", flush=True)
        for _ in sys.stdin:

            def call(number: int) -> str:
                reply = fleet.devices[0].call(Call(entry, (f"{text} {number}",), (number,)))
                return str(reply.outputs[0].value)

            print(json.dumps(list(pool.map(call, range(calls)))), flush=True)


if __name__ == "__main__":
    main()

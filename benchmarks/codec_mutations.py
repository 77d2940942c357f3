"""``python -m benchmarks.codec_mutations``: ten thousand damaged files, and what the codec says to each.

Of files by the shipped models, by all methods, of all kinds of picture. Half of the damage is resealed with a
checksum that fits. Writes ``results/codec_mutations.md``; fails at the first file that gives a wrong
picture, another error than the codec's own, or more memory than its pixels may take.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from panic_assets.codec import api
from panic_assets.codec.exporting import export_vae
from panic_assets.paths import project_dir
from panic_assets_tests.codec.mutations import LIMIT, peak_memory, tally
from panic_assets_tests.codec.scenes import noise, scene

_AT_ONCE = 500
_MOST_GROWTH = 1 << 30


def main() -> None:
    """Damage, decode, write down."""
    parser = argparse.ArgumentParser(description="Decode damaged files.")
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    pictures = [scene(40, 56), scene(33, 47, 1, 1), scene(48, 48, 4, 2), noise(16, 16), scene(1, 70, 3, 3)]
    # The bundled VAE for reading has no encoder: its source is exported whole, and makes the same files.
    vae = Path(tempfile.mkdtemp()) / "vae"
    export_vae(project_dir() / "data" / "models" / "tiny-scenes" / "vae", vae)
    settings: list[dict[str, Any]] = [
        {"quality": 2}, {"quality": 9}, {"quality": 15}, {"lossless": True}, {"quality": 3, "residual": 1},
        {"model": vae, "quality": 4}, {"model": vae, "quality": 10}, {"model": vae, "quality": 2, "residual": 1},
    ]  # fmt: skip
    files = [api.compress(picture, **setting) for picture in pictures for setting in settings]
    methods = Counter(api.info(data).method for data in files)
    tally(files, 60, 0, None)
    before, began = peak_memory(), time.monotonic()
    found: dict[str, dict[str, int]] = {}
    for start in range(0, count, _AT_ONCE):
        for kind, counts in tally(files, min(_AT_ONCE, count - start), 1 + start, None).items():
            known = found.setdefault(kind, {})
            for what, times in counts.items():
                known[what] = known.get(what, 0) + times
        print(f"{start + _AT_ONCE} of {count}, {time.monotonic() - began:.0f} s", flush=True)
    growth = peak_memory() - before
    assert growth < _MOST_GROWTH, f"peak memory grew by {growth / 2**20:.0f} MiB"
    told = ", ".join(f"{times} by {name}" for name, times in sorted(methods.items()))
    columns = sorted({what for counts in found.values() for what in counts})
    lines = [
        "# Damaged files",
        "",
        f"{count} mutants of {len(files)} files ({told}; grey, RGB, RGBA; 70 to 2,304 pixels), limit {LIMIT} "
        f"pixels. No crash, no hang, no wrong picture from damage; peak memory grew by {growth / 2**20:.0f} MiB.",
        "",
        "| damage | " + " | ".join(columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    lines += [
        f"| {kind} | " + " | ".join(str(counts.get(what, 0)) for what in columns) + " |"
        for kind, counts in sorted(found.items())
    ]
    (RESULTS / "codec_mutations.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

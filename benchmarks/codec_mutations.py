"""``python -m benchmarks.codec_mutations``: ten thousand damaged files, and what the codec says to each.

Of files by the shipped model, by methods 0 to 2, of all kinds of picture. Half of the damage is resealed with a
checksum that fits. Writes ``results/codec_mutations.md``; fails at the first file that gives a wrong
picture, another error than the codec's own, or more memory than its pixels may take.
"""

from __future__ import annotations

import argparse
import time

from benchmarks.common import RESULTS
from panic_assets.codec import api
from panic_assets.codec.latent import DEFAULT_MODEL
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
    settings = [{"quality": 2}, {"quality": 9}, {"quality": 15}, {"lossless": True}, {"quality": 8, "residual": 1}]
    files = [api.compress(picture, **setting) for picture in pictures for setting in settings]  # type: ignore[arg-type]
    tally(files, 60, 0, DEFAULT_MODEL)
    before, began = peak_memory(), time.monotonic()
    found: dict[str, dict[str, int]] = {}
    for start in range(0, count, _AT_ONCE):
        for kind, counts in tally(files, min(_AT_ONCE, count - start), 1 + start, DEFAULT_MODEL).items():
            known = found.setdefault(kind, {})
            for what, times in counts.items():
                known[what] = known.get(what, 0) + times
        print(f"{start + _AT_ONCE} of {count}, {time.monotonic() - began:.0f} s", flush=True)
    growth = peak_memory() - before
    assert growth < _MOST_GROWTH, f"peak memory grew by {growth / 2**20:.0f} MiB"
    columns = sorted({what for counts in found.values() for what in counts})
    lines = [
        "# Damaged files",
        "",
        f"{count} mutants of {len(files)} files (methods 0 to 2; grey, RGB, RGBA; 70 to 2,304 pixels), limit {LIMIT} "
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

"""The import of a PANIC-TDA database of many invocations: rate, and whether memory grows with the file.

Run with ``python -m benchmarks.importing [--quick | --invocations N ...]``. The result is written to
``benchmarks/results/importing.md``. Databases and lakes are made in a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import io
import json
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, machine, markdown_table, measure_in_child, versions, write_results

SIDE, DIMENSION, DISTINCT = 32, 32, 64
RUN_LENGTH, PROMPTS = 1000, 4
NETWORK = ["FluxSchnell", "Moondream"]
_CHUNK = 20_000


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten thousand invocations, to see that it runs")
    parser.add_argument("--invocations", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--output", type=Path, default=RESULTS / "importing.md")
    options = parser.parse_args(argv)
    described = f"{machine()}; {versions('pyarrow', 'pillow')}."
    rows = []
    for count in [10_000] if options.quick else options.invocations:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trajectory_data.sqlite"
            make_database(path, count)
            cost = measure_in_child("benchmarks.importing:importing", str(path), str(Path(folder) / "data"))
            again = measure_in_child("benchmarks.importing:importing", str(path), str(Path(folder) / "data"))
            size = path.stat().st_size / 2**20
            lake = int(subprocess.check_output(["du", "-sm", str(Path(folder) / "data")], text=True).split()[0])
        rate = count / cost.wall_seconds
        rows.append(
            (f"{count:,}", size, cost.wall_seconds, cost.cpu_seconds, rate, cost.peak_mib, again.wall_seconds, lake)
        )
        print(rows[-1], flush=True)
    head = ("invocations", "file MiB", "wall s", "CPU s", "invocations/s", "growth of peak memory MiB", "again: wall s")
    text = (
        f"A database of the Python era: one experiment, runs of {RUN_LENGTH:,} invocations, half of them pictures of "
        f"{SIDE} x {SIDE} pixels (lossless WebP, {DISTINCT} distinct ones), each with a vector of {DIMENSION} numbers. "
        "Pictures of 256 x 256 pixels have 64 times as many to decode, which this does not measure. "
        "`again` is a second import, which finds nothing new. The lake holds a second copy of what was brought into "
        "order, until `panic gc`."
    )
    table = markdown_table((*head, "lake MiB"), rows)
    write_results(options.output, "Import of a PANIC-TDA database", [described, text, table])
    print(f"{table}\nwritten to {options.output}")
    return 0


def importing(path: str, data: str) -> Callable[[], object]:
    """The import as an action."""
    from panic_assets.interop.panic_tda.importer import import_database

    return lambda: import_database(Path(path), Path(data))


def make_database(path: Path, invocations: int) -> None:
    """A database with so many invocations, and as many embeddings."""
    runs = invocations // RUN_LENGTH
    random = np.random.default_rng(1)
    pictures = [_picture(random) for _ in range(DISTINCT)]
    vectors = random.standard_normal((DISTINCT, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    blobs = [vector.tobytes() for vector in vectors]
    prompts = [f"prompt {number}" for number in range(PROMPTS)]
    with sqlite3.connect(path) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        for statement in _LAYOUT:
            connection.execute(statement)
        lists = [json.dumps(v) for v in ([NETWORK], [-1] * (runs // PROMPTS), prompts, ["Nomic"])]
        connection.execute(
            "INSERT INTO experimentconfig VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)", (_id(1, 0), *lists, RUN_LENGTH)
        )
        connection.executemany(
            "INSERT INTO run VALUES (?, ?, -1, ?, ?, ?)",
            ((_id(2, n), json.dumps(NETWORK), RUN_LENGTH, prompts[n % PROMPTS], _id(1, 0)) for n in range(runs)),
        )
        for start in range(0, invocations, _CHUNK):
            places = range(start, min(start + _CHUNK, invocations))
            connection.executemany(
                f"INSERT INTO invocation VALUES ({', '.join('?' * 11)})", _invocations(places, pictures)
            )
            connection.executemany(
                "INSERT INTO embedding VALUES (?, ?, ?, ?, ?, ?)",
                ((_id(4, n), _TIME, _TIME, _id(3, n), _model(n), blobs[n % DISTINCT]) for n in places),
            )


def _invocations(places: range, pictures: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
    for n in places:
        place = n % RUN_LENGTH
        before = _id(3, n - 1) if place else None
        is_image = place % 2 == 0
        output = (None, pictures[n // 2 % DISTINCT]) if is_image else (f"a caption of picture {n}", None)
        kind = "IMAGE" if is_image else "TEXT"
        yield (_id(3, n), _TIME, _TIME, NETWORK[place % 2], kind, -1, _id(2, n // RUN_LENGTH), place, before, *output)


def _picture(random: np.random.Generator) -> bytes:
    from PIL import Image

    pixels = random.integers(0, 255, (SIDE // 4, SIDE // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=100)
    return buffer.getvalue()


def _model(number: int) -> str:
    return "NomicVision" if number % RUN_LENGTH % 2 == 0 else "Nomic"


def _id(kind: int, number: int) -> str:
    return f"{kind:04x}{number:028x}"


_TIME = "2025-08-01 09:30:00.125000"
_STAMPS = "started_at DATETIME, completed_at DATETIME"
_LAYOUT = (
    "CREATE TABLE experimentconfig (id CHAR(32) PRIMARY KEY, networks JSON, seeds JSON, prompts JSON, "
    f"embedding_models JSON, max_length INTEGER, {_STAMPS})",
    "CREATE TABLE run (id CHAR(32) PRIMARY KEY, network JSON, seed INTEGER, max_length INTEGER, "
    "initial_prompt VARCHAR, experiment_id CHAR(32))",
    f"CREATE TABLE invocation (id CHAR(32) PRIMARY KEY, {_STAMPS}, model VARCHAR, type VARCHAR(5), seed INTEGER, "
    "run_id CHAR(32), sequence_number INTEGER, input_invocation_id CHAR(32), output_text VARCHAR, "
    "output_image_data BLOB)",
    "CREATE INDEX ix_invocation_run_id ON invocation (run_id)",
    f"CREATE TABLE embedding (id CHAR(32) PRIMARY KEY, {_STAMPS}, invocation_id CHAR(32), embedding_model VARCHAR, "
    "vector BLOB, UNIQUE (invocation_id, embedding_model))",
)

if __name__ == "__main__":
    raise SystemExit(main())

"""What SQL can't tell of rows: pictures and their hashes, identities of invocations, runs and their cycles.

Here belongs reading rows as a stream, in bounded memory: a row group of pictures, one run of outputs. Rules that SQL
can tell are in ``truths``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import duckdb
import pyarrow.parquet as pq

from panic_assets.lake import images
from panic_assets.lake.errors import CorruptImage, UnreadableImage
from panic_assets.loop.cycles import Cycle, CycleDetector
from panic_assets.loop.ids import invocation_id, noise_number
from panic_assets.upkeep.findings import EXAMPLES, Finding, Severity
from panic_assets.upkeep.survey import AGAIN, Surveyed
from panic_assets.upkeep.truths import IMPORTED

_Why = Literal["damaged", "other_decoder", "not_here"]
_BATCH = 8192
_COLUMNS = ["image_hash", "format", "width", "height", "byte_size", "image"]


@dataclass
class _Found:
    """Keys of rows that break one rule, gathered one at a time."""

    rule: str
    table: str
    message: str
    severity: Severity = "broken"
    bad: list[tuple[Any, ...]] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, key: tuple[Any, ...], **facts: Any) -> None:
        self.bad.append(key)
        if len(self.examples) < EXAMPLES:
            self.examples.append(facts)

    def findings(self, experiment: str, remedy: str) -> list[Finding]:
        if not self.bad:
            return []
        made = Finding(
            self.rule,
            self.severity,
            self.message,
            remedy,
            self.table,
            experiment,
            None,
            len(self.bad),
            tuple(self.examples),
            tuple(self.bad),
        )
        return [made]


def pictures(partition: Surveyed) -> list[Finding]:
    """Pictures that can't be decoded, are not what their key says, or are described wrongly.

    Those that only need something else to be installed are no worse for it: they are told, and left alone.
    """
    name = str(partition.key)
    bad = _Found("pictures_are_whole", "images", "pictures decode, to the pixels and the size that are on record")
    other = _Found(
        "lossy_pictures_decode_the_same",
        "images",
        "pictures of a lossy format decode to other pixels than when they were stored: this is another decoder",
        "hint",
    )
    unread = _Found(
        "pictures_can_be_read_here", "images", "what reads pictures of this format is installed here", "hint"
    )
    kinds: dict[_Why, _Found] = {"damaged": bad, "other_decoder": other, "not_here": unread}
    parts = partition.manifest.parts if partition.manifest else ()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for part in parts:
            with pq.ParquetFile(partition.folder / part.file, page_checksum_verification=True) as parquet:
                for number in range(parquet.num_row_groups):
                    rows = parquet.read_row_group(number, columns=_COLUMNS).to_pylist()
                    for row, (flaw, why) in zip(rows, threads.map(_flaw, rows), strict=True):
                        if flaw:
                            key = (name, row["image_hash"])
                            kinds[why].add(key, image_hash=str(_hex(row["image_hash"])), flaw=flaw)
    return [
        *bad.findings(name, f"{AGAIN} puts them aside; the runs that come to them go on from before"),
        *other.findings(name, "decode with the versions of the libraries of then"),
        *unread.findings(name, "install what the flaw names, then examine again; nothing is put aside for it"),
    ]


def _flaw(row: dict[str, Any]) -> tuple[str | None, _Why]:
    """What is wrong with a picture, and of which kind that is."""
    try:
        pixels = images.decode(row["image"] or b"")
    except CorruptImage:
        return "can't be decoded", "damaged"
    except UnreadableImage as error:
        return str(error), "not_here"
    except Exception as error:  # a decoder may stumble over anything in bytes that are no picture
        return f"can't be decoded ({type(error).__name__})", "damaged"
    size = (pixels.shape[1], pixels.shape[0], len(row["image"]))
    told = (row["width"], row["height"], row["byte_size"])
    if told != size:
        return f"(width, height, bytes) are {size}, not {told}", "damaged"
    if images.pixel_hash(pixels) == row["image_hash"]:
        return None, "damaged"
    return "other pixels than its hash says", "damaged" if images.kept_all(row["format"]) else "other_decoder"


def runs(connection: duckdb.DuckDBPyConnection, experiment: str) -> list[Finding]:
    """Invocations that are not those of their run, outcomes that tell another cycle, runs that leave their cycle."""
    given = {"experiment": experiment}
    imported = bool(connection.execute(f"SELECT {IMPORTED}", given).fetchall()[0][0])
    plans = {
        number: (bytes(run_id), seed, list(models))
        for number, run_id, seed, models in connection.execute(
            "SELECT run_number, run_id, seed, models FROM runs_only WHERE experiment = $experiment", given
        ).fetchall()
    }
    outcomes = {
        number: rest
        for number, *rest in connection.execute(
            "SELECT run_number, stop_reason, length, transient_length, cycle_length FROM outcomes "
            "WHERE experiment = $experiment",
            given,
        ).fetchall()
    }
    ids = _Found(
        "invocations_are_of_their_run",
        "invocations",
        "an invocation's identity and the number of its noise follow from its run and its place",
    )
    cycles = _Found("cycles_are_true", "outcomes", "an outcome tells the cycle that the outputs of its run close")
    left = _Found("runs_keep_to_their_cycle", "invocations", "a run that closed a cycle goes round it")
    for number, rows in groupby(_rows(connection, experiment), key=lambda row: row[0]):
        if number not in plans or not plans[number][2]:
            continue
        run_id, seed, models = plans[number]
        detector, cycle, states = CycleDetector(len(models)), None, list[Any]()
        for _, place, identity, noise, output in rows:
            as_planned = (invocation_id(run_id, place), noise_number(run_id, seed, place)) if place >= 0 else None
            if not imported and (identity, noise) != as_planned:
                ids.add((experiment, number, place), run_number=number, sequence_number=place)
            if output is None or place != len(states):
                break  # other rules tell of these
            states.append(output)
            cycle = cycle or detector.watch(place, output)
            if number in outcomes and not imported and _leaves(states, cycle, outcomes[number]):
                left.add((experiment, number, place), run_number=number, sequence_number=place)
                break
        told = outcomes.get(number)
        if told and told[1] == len(states) and not _agrees(told, cycle, states, len(models), imported, seed):
            facts = {"transient_length": told[2], "cycle_length": told[3], "closed": str(cycle)}
            cycles.add((experiment, number), run_number=number, stop_reason=told[0], **facts)
    back = f"{AGAIN} takes these runs back to where they are right, then run it again"
    return [
        *ids.findings(experiment, back),
        *left.findings(experiment, back),
        *cycles.findings(experiment, f"{AGAIN} puts these outcomes aside, then run it again"),
    ]


def _leaves(states: list[Any], cycle: Cycle | None, told: list[Any]) -> bool:
    """Whether the last output is not the one that the cycle has there, in a run that is said to have closed it."""
    if cycle is None or (told[2], told[3]) != (cycle.transient, cycle.length):
        return False
    return bool(states[-1] != states[len(states) - 1 - cycle.length])


def _agrees(
    told: list[Any], cycle: Cycle | None, states: list[Any], ring: int, imported: bool, seed: int | None
) -> bool:
    """Whether an outcome (stop reason, length, transient, cycle length) tells what the outputs show.

    A run without a cycle on record may repeat itself by chance, if its models heed no seed or draw anew.
    """
    reason, _, transient, length = told
    if length is None or transient is None:
        return reason != "cycle"
    if imported:  # a source may have gone on elsewhere; but what it says must be so
        far = transient + length
        return 0 <= transient < far < len(states) and length % ring == 0 and states[transient] == states[far]
    return cycle == Cycle(transient, length)


def _rows(connection: duckdb.DuckDBPyConnection, experiment: str) -> Iterator[tuple[Any, ...]]:
    """(run, place, identity, noise, output), run by run in order; texts as their hashes."""
    found = connection.execute(
        """SELECT run_number, sequence_number, invocation_id, seed,
                  coalesce(image_hash, audio_hash, unhex(md5(text))) AS output
           FROM invocations WHERE experiment = $experiment ORDER BY run_number, sequence_number""",
        {"experiment": experiment},
    )
    while rows := found.fetchmany(_BATCH):
        yield from rows


def _hex(value: bytes | None) -> str | None:
    return value.hex() if value is not None else None

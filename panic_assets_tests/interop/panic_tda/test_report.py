"""Broken databases: each defect is told by its kind, none stops the import, and the lake stays sound."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from panic_assets.interop.panic_tda.records import Rejected
from panic_assets.interop.panic_tda.report import LostRows, Quarantine, Report, Tally
from panic_assets_tests.interop.panic_tda.corruptions import CORRUPTIONS
from panic_assets_tests.interop.panic_tda.databases import elixir_database, python_database
from panic_assets_tests.interop.panic_tda.imports import bring, broken_rules, quarantined, written_report

#: Kinds of what only the importer can see; None: it is a doubt, and the row is imported.
SEEN_BY_IMPORTER = {
    "vector_of_other_dimension": {"other_dimension"},
    "null_vector": {"null_vector"},
    "truncated_image": {"undecodable_image"},
    "gap_in_sequence": {"gap"},
    "duplicate_sequence": {"repeated_sequence", "broken_chain", "wrong_model"},
    "negative_sequence": {"gap"},
    "input_of_another_run": {"broken_chain"},
    "model_out_of_place": {"wrong_model"},
}
#: What leaves a row as it is, but for an attribute.
DOUBTS = {"dangling_input": "dangling_input", "embedding_of_wrong_modality": "other_medium"}
DOUBTS |= {"bad_timestamp": "bad_time", "bad_input_id": "bad_id"}
BUILDERS = {"python": python_database, "elixir": elixir_database}


def possible(era: str, of: str) -> list[str]:
    return [name for name, c in CORRUPTIONS.items() if era in c.eras and (c.of == of) == (of != "")]


@pytest.mark.parametrize(
    ("era", "of"),
    [
        *(("python", of) for of in ("invocations", "embeddings", "diagrams", "assignments", "runs", "experiments")),
        *(("elixir", of) for of in ("invocations", "embeddings", "exponents")),
    ],
)
def test_every_defect_is_told_and_the_lake_is_sound(era: str, of: str, tmp_path: Path) -> None:
    names, built = possible(era, of), None
    while built is None:  # leave out what the rules of this layout forbid
        path = tmp_path / f"{len(names)}.sqlite"
        try:
            built = BUILDERS[era](path, corruptions=names, experiments=2, runs=len(names), length=6, rings=1)
        except sqlite3.IntegrityError:
            names = [name for name in names if not name.startswith(("null_", "both_", "wrong_output", "duplicate"))]
    report = bring(built.path, tmp_path / "data")
    assert broken_rules(tmp_path / "data") == []
    assert report.unaccounted == {}
    kept = {(row["table"], row["source_id"]): row for row in quarantined(report)}
    kinds = {row["kind"] for row in kept.values()}
    for damage in built.damages:
        if damage.name in DOUBTS:
            assert DOUBTS[damage.name] in {kind for _, kind in report.doubts}
            assert (damage.table, damage.source_id) not in kept
        elif damage.name == "gap_in_sequence":  # its row is not there any more
            assert "gap" in kinds
        elif damage.name in SEEN_BY_IMPORTER:
            assert kept[damage.table, damage.source_id]["kind"] in SEEN_BY_IMPORTER[damage.name], damage
        elif damage.found_by != "importer":
            assert kept[damage.table, damage.source_id]["kind"] == damage.kind, damage
    # What is told does not depend on what was imported before.
    again = bring(built.path, tmp_path / "data")
    assert not again.written
    assert written_report(again) == report.facts
    assert quarantined(again) == [*kept.values()] or len(kept) == len(quarantined(again))


def test_what_hangs_on_a_rejected_row_is_rejected_with_it(tmp_path: Path) -> None:
    built = python_database(tmp_path / "a.sqlite", corruptions=["malformed_network", "malformed_prompts"])
    report = bring(built.path, tmp_path / "data")
    rejected = report.facts["rejected"]
    for table in ("invocations", "embeddings", "diagrams", "assignments"):
        assert rejected[table]["parent_rejected"] > 0
    assert rejected["runs"]["bad_json"] == 1
    assert rejected["runs"]["parent_rejected"] > 0
    assert rejected["experiments"] == {"bad_json": 1}


def new_report(folder: Path | None, **source: int) -> Report:
    return Report("a.sqlite", "python", "created", source, folder)


def test_rejected_rows_are_kept_whole(tmp_path: Path) -> None:
    report = new_report(tmp_path / "q")
    blob, vector = bytes(range(256)) * 5000, np.array([1, np.nan], np.float32)
    with Quarantine(report) as quarantine:
        row = {
            "id": b"\0\1",
            "image": blob,
            "text": "ein Bär",
            "vector": vector,
            "value": float("inf"),
            "list": [1, None],
        }
        quarantine.reject(report.tally, Rejected("invocation", "i1", "gap", "why", row), "tda-1")
        quarantine.reject(report.tally, Rejected("runs", "r1", "empty_network", "why", {}), None)
    first, second = quarantined(report)
    values = json.loads(first["row"])
    assert first["blob"] == blob
    assert values["image"] == {"blob_bytes": len(blob)}
    assert base64.b64decode(values["id"]["base64"]) == b"\0\1"
    assert np.array_equal(
        np.frombuffer(base64.b64decode(values["vector"]["base64"]), values["vector"]["dtype"]), vector, equal_nan=True
    )
    assert (values["text"], values["value"], values["list"]) == ("ein Bär", "inf", [1, None])
    assert (first["table"], first["experiment"]) == ("invocation", "tda-1")
    assert (second["table"], second["experiment"], second["blob"]) == ("run", None, None)
    assert report.facts["rejected"] == {"invocations": {"gap": 1}, "runs": {"empty_network": 1}}


def test_after_an_error_the_files_before_it_stay(tmp_path: Path) -> None:
    report = new_report(tmp_path / "q")
    with Quarantine(report):
        pass
    before = {path.name: path.read_bytes() for path in (tmp_path / "q").iterdir()}
    quarantine = Quarantine(report)
    quarantine.__enter__()
    quarantine.reject(report.tally, Rejected("run", "r1", "gap", "why", {}), None)
    quarantine.__exit__(RuntimeError, RuntimeError(), None)
    assert {path.name: path.read_bytes() for path in (tmp_path / "q").iterdir()} == before


def test_rows_that_are_missing_are_an_error() -> None:
    report = new_report(None, runs=3, invocations=1)
    report.tally.merge(Tally({"runs": {"imported": 1, "rejected": 1, "doubtful": 1}, "invocations": {"skipped": 1}}))
    with pytest.raises(LostRows, match="1 of 3 rows of runs"):
        report.check()
    report.tally.add("runs", "skipped")
    report.check()

"""What lies around the tables: the catalog, experiment files, deletions that did not end, folders of no table.

Here belongs what can be told without rows. Nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb

from panic_assets.files import ExperimentFiles
from panic_assets.lake import TABLES, Lake
from panic_assets.lake.durable import TEMPORARY
from panic_assets.lake.removal import DELETING
from panic_assets.lake.specs import STUDY_KEY, owner
from panic_assets.upkeep.findings import EXAMPLES, Finding
from panic_assets.upkeep.survey import AGAIN

_FILE = re.compile(r"'((?:[^']|'')+\.parquet)'")
_SIGN = re.compile(r"\[([\[*?])\]")


def surroundings(
    data: Path, lake: Lake, only: str | None, names: list[str], going: Mapping[str, Mapping[str, bool]]
) -> Iterator[Finding]:
    """All findings that are about no partition; of one experiment or study alone where ``only`` names its owner.

    ``names`` are the lake's experiments; ``going`` are deletions, by what they are of.
    """
    for partition, begun in going.items():
        yield from _deletions(partition, begun, only)
    if only is None or not only.startswith(owner(STUDY_KEY, "")):
        yield from _files(data, only, names)
    yield from _catalog(data)
    if only is None:
        yield from _folders(lake)


def _deletions(partition: str, going: Mapping[str, bool], only: str | None) -> Iterator[Finding]:
    for name, has_tables in going.items():
        if only in (None, owner(partition, name)):
            is_study = partition == STUDY_KEY
            message = "its deletion was begun and has not ended"
            if not has_tables:
                behind = "the catalog has" if is_study else "clusters and catalog have"
                message = f"it was deleted; {behind} not followed"
            remedy = f"panic {'study ' if is_study else ''}delete {name}, or panic gc"
            finding = Finding("deletions_end", "to_do", message, remedy)
            yield replace(finding, study=name) if is_study else replace(finding, experiment=name)


def _files(data: Path, only: str | None, names: list[str]) -> Iterator[Finding]:
    """Experiment files that were never run, and experiments without their file."""
    found, broken = ExperimentFiles(data / "experiments").read()
    for path, error in broken.items():
        if only in (None, path.stem):
            yield Finding(
                "experiment_files_are_right", "hint", str(error).splitlines()[0], "correct the file", "", None, path
            )
    new = [name for name in sorted(found) if name not in names and only in (None, name)]
    if new:
        examples = tuple({"file": str(found[name][0])} for name in new[:EXAMPLES])
        message = "experiment files of which nothing was run yet"
        yield Finding(
            "every_file_was_run", "hint", message, "panic run FILE", "", only, data / "experiments", len(new), examples
        )
    for name in names:
        if name not in found and only in (None, name):
            message = "no experiment file bears its name, so that it can't be run on"
            yield Finding(
                "every_experiment_has_its_file", "hint", message, f"put {name}.yaml into experiments", "", name
            )


def _catalog(data: Path) -> Iterator[Finding]:
    path = data / "catalog.duckdb"
    if not path.exists():
        return
    try:
        with closing(duckdb.connect(str(path), read_only=True)) as connection:
            views = connection.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall()
    except (duckdb.Error, OSError, UnicodeDecodeError) as error:
        message = f"can't be opened: {str(error).splitlines()[0]}"
        yield Finding("catalog_is_current", "broken", message, f"{AGAIN} makes it anew", "", None, path)
        return
    gone = {
        str(view): file
        for view, query in views
        for file in (_SIGN.sub(r"\1", found.replace("''", "'")) for found in _FILE.findall(query))
        if not Path(file).exists()
    }
    if gone:
        examples = tuple({"view": view, "file": file} for view, file in sorted(gone.items())[:EXAMPLES])
        message = "views name files that are gone"
        yield Finding(
            "catalog_is_current", "broken", message, f"{AGAIN} makes it anew", "", None, path, len(gone), examples
        )


def _folders(lake: Lake) -> Iterator[Finding]:
    """Folders and files in the lake that are of no table."""
    if not lake.root.is_dir():
        return
    places = {lake.folder(*place) for place in lake.places()}
    unknown = []
    for path in sorted(lake.root.iterdir()):
        if path.name == DELETING:
            continue
        if path.name not in TABLES or not path.is_dir():
            unknown.append(path)
        elif TABLES[path.name].partitioned:
            unknown += sorted(child for child in path.iterdir() if child not in places)
    if unknown:
        examples = tuple({"path": str(path)} for path in unknown[:EXAMPLES])
        left = any(TEMPORARY in path.name for path in unknown)
        message = "in the lake's folder lies what is of no table" + (", such as a temporary file" if left else "")
        yield Finding(
            "every_folder_is_known", "hint", message, "move it elsewhere", "", None, unknown[0], len(unknown), examples
        )

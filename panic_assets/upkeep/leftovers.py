"""Files beside the lake that belong to one experiment or study: figures, reports, exports, caches.

Here belongs which these are, and their sizes. Who removes them, and when, is in ``deleting`` and ``garbage``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from panic_assets.lake.removal import DELETING
from panic_assets.lake.schemas import TABLES
from panic_assets.lake.store import Lake

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
#: What `panic figures` and `panic export` put in an experiment's folder when nobody says where to.
_MADE = {
    "figures": re.compile(r"[^/]+\.(png|svg|pdf)"),
    "exports": re.compile(r"mosaic-[^/]+\.mp4|(strips|images)/.+|strips\.(png|pdf)"),
}
STUDY_SUFFIXES = (".yaml", ".yml", ".json")
_KEPT = re.compile(r"[A-Za-z0-9_-]+\.(yaml|yml|json|safetensors|db)")
#: Before the name of a study in that of its report. An experiment may be called so, too.
_STUDY = "study-"
_CODEC = ".codec"  # ends the name of an experiment's page about codecs
#: Folders of the cache whose entries bear the name of an experiment.
_CACHES = ("vectors", "renders")


@dataclass(frozen=True)
class Leftover:
    """A file or folder: how many files are in it, and their size in bytes."""

    path: Path
    files: int
    bytes: int


def measured(path: Path) -> Leftover:
    """The size of a file, or of all files in a folder; links are not followed."""
    if not path.is_dir() or path.is_symlink():
        return Leftover(path, 1, path.lstat().st_size)
    sizes = [os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names]
    return Leftover(path, len(sizes), sum(sizes))


def files_of(data: Path, experiment: str) -> list[Leftover]:
    """What was drawn, reported, exported and cached of one experiment; comparisons with others are not its own."""
    report = data / "reports" / f"{experiment}.html"
    places = [
        data / "figures" / experiment,
        *([] if _is_of_a_study(data, report) else [report]),
        data / "reports" / f"{experiment}{_CODEC}.html",
        data / "exports" / experiment,
        *(path for path, name in _cached(data) if name == experiment),
    ]
    return [measured(path) for path in places if os.path.lexists(path)]


def files_of_study(data: Path, study: str) -> list[Leftover]:
    """What was reported of one study, and what it made while it trained; an experiment's report is not its own."""
    report, training = data / "reports" / f"{_STUDY}{study}.html", data / "training" / study
    is_another = report.stem in known_experiments(data, Lake(data / "lake"))
    places = [*([] if is_another else [report]), training]
    return [measured(path) for path in places if os.path.lexists(path)]


def files_of_none(data: Path, known: set[str]) -> list[Leftover]:
    """The same of experiments that are not among ``known``, as far as they surely are what this package made.

    A person may keep other things in these folders: what it would not have named so is left alone.
    """
    found = [path for path, name in _cached(data) if name not in known]
    for path in _children(data / "reports"):
        names = path.stem.removesuffix(_CODEC).split("-and-")
        if path.suffix == ".html" and _are_gone(names, known) and not _is_of_a_study(data, path):
            found.append(path)
    for kind, made in _MADE.items():
        folders = [path for path in _children(data / kind) if path.is_dir() and not path.is_symlink()]
        found += [path for path in folders if _are_gone([path.name], known) and _is_made(path, made)]
    return [measured(path) for path in found]


def known_experiments(data: Path, lake: Lake) -> set[str]:
    """Experiments that the lake holds anything of, or that a file asks for."""
    from panic_assets.files import ExperimentFiles

    sound, broken = ExperimentFiles(data / "experiments").read()
    held = {key for name, spec in TABLES.items() if spec.of_experiment for key in lake.experiments(name)}
    return {*sound, *(path.stem for path in broken), *held}


def known_studies(data: Path, lake: Lake) -> set[str]:
    """Studies that the lake holds anything of, that a file asks for, or that were trained."""
    held = {key for name, spec in TABLES.items() if spec.of_study for key in lake.studies(name)}
    files = {path.stem for path in _children(data / "studies") if path.suffix in STUDY_SUFFIXES}
    trained = {path.name for path in _children(data / "training") if path.is_dir() and _KEY.fullmatch(path.name)}
    return held | files | trained


def files_of_studies(data: Path, studies: Sequence[str] | None = None) -> Iterator[Path]:
    """What makes studies and can't be made again without training: their files, their state, checkpoints, and events.

    Of all studies, or of those named; events are of all. Outboxes are left out: what they hold is delivered.
    """
    training = data / "training"
    names = sorted(known_studies(data, Lake(data / "lake"))) if studies is None else studies
    if studies is None and (training / "events.db").is_file():
        yield training / "events.db"
    for name in names:
        places = [data / "studies" / f"{name}{suffix}" for suffix in STUDY_SUFFIXES]
        places += [training / name / "optuna.db", *_children(training / name / "trials")]
        yield from (path for path in places if path.is_file() and _KEPT.fullmatch(path.name))


def _is_of_a_study(data: Path, report: Path) -> bool:
    return report.stem.startswith(_STUDY) and report.stem.removeprefix(_STUDY) in known_studies(
        data, Lake(data / "lake")
    )


def remove(path: Path) -> None:
    """Remove a file or a folder; nothing happens if it is gone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def empty_folders(data: Path) -> list[Path]:
    """Folders that hold nothing, or only such: in figures, exports, reports and the cache, and the lake's tables."""
    found: list[Path] = []
    for place in ("figures", "exports", "reports", "cache", *(f"lake/{table}" for table in (*TABLES, DELETING))):
        for folder, _, _ in os.walk(data / place, topdown=False):
            path = Path(folder)
            if all(child in found for child in path.iterdir()):
                found.append(path)
    return [path for path in found if path.parent != data]


def _cached(data: Path) -> Iterator[tuple[Path, str]]:
    for kind in _CACHES:
        for path in _children(data / "cache" / kind):
            name = path.name.removeprefix("experiment=").split(".")[0]
            if _KEY.fullmatch(name):
                yield path, name


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _are_gone(names: list[str], known: set[str]) -> bool:
    return all(_KEY.fullmatch(name) and name not in known for name in names)


def _is_made(folder: Path, made: re.Pattern[str]) -> bool:
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    return bool(files) and all(made.fullmatch(path.relative_to(folder).as_posix()) for path in files)

"""From what a person types to what is meant: an experiment, a run, an invocation; and what a shell completes.

Here belongs the resolution of names and nothing that prints. Completion looks at names of files and folders alone, so
that it answers at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from panic_assets import paths
from panic_assets.errors import PanicError

#: Stands for the experiment with the latest activity.
LATEST = "latest"
_HEX = re.compile(r"[0-9a-f]{4,32}")
_SHOWN = 5  # candidates that an error names
_PARTITION, _STUDY = "experiment=", "study="
_SUFFIXES = (".yaml", ".yml", ".json")
_MANIFEST = "_manifest.json"
_DELETING = "_deleting"  # what is being deleted is no longer there
_NOTHING = "there is none yet. `panic run FILE` runs one, `panic import` brings one in"


class UnknownName(PanicError):
    """Nothing, or more than one thing, bears the name that was given."""


class Unmatched(UnknownName):
    """No identifier begins like that."""


def experiment_named(text: str) -> str:
    """The name of the experiment that is meant.

    ``text``: a name, or its beginning, or the beginning of the identifier that an imported experiment has in its
    source, as long as one experiment alone begins so; or ``latest``, the one with the latest activity.

    Raises:
        UnknownName: there is none, or there are several; the message names near ones.
    """
    known = known_experiments()
    if text in known:
        return text
    if text == LATEST:
        return latest_experiment()
    found = [name for name in known if name.startswith(text)] if text else []
    if not found and len(text) >= 4:
        found = [name for name, source in _source_ids() if source.startswith(text.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownName(f"{text!r} may be {either(found)}; type more of the name")
    near = get_close_matches(text, known, n=3, cutoff=0.5)
    hint = f"did you mean {either(near)}?" if near else f"there are: {some(known)}" if known else _NOTHING
    raise UnknownName(f"there is no experiment {text!r}; {hint}")


def known_experiments() -> list[str]:
    """All experiments that there are as a file or in the lake, sorted; broken files by their stem."""
    from panic_assets.files import ExperimentFiles

    sound, broken = ExperimentFiles(paths.experiments_dir()).read()
    return sorted({*sound, *(path.stem for path in broken), *_last_commits()})


def known_studies() -> set[str]:
    """All studies that there are as a file, in the lake, or as a folder of trainings; a file counts by its stem."""
    files = {path.stem for path in paths.studies_dir().glob("[!.]*") if path.suffix in _SUFFIXES}
    trained = {path.name for path in paths.training_dir().glob("[!.]*") if path.is_dir()}
    return files | trained | set(_last_commits(_STUDY))


def latest_experiment() -> str:
    """The experiment with the last commit in the lake; without any, the one whose file was changed last.

    Raises:
        UnknownName: there is no experiment.
    """
    from panic_assets.files import ExperimentFiles

    commits = _last_commits()
    if not commits:
        sound, _ = ExperimentFiles(paths.experiments_dir()).read()
        commits = {name: path.stat().st_mtime for name, (path, _) in sound.items()}
    if not commits:
        raise UnknownName(f"there is no latest experiment: {_NOTHING}")
    return max(commits, key=lambda name: (commits[name], name))


def run_named(text: str) -> tuple[str, int]:
    """Experiment and number of the run that is meant: ``EXPERIMENT/RUN``, or the beginning of its hexadecimal id.

    Raises:
        UnknownName: there is none, or there are several.
    """
    if "/" in text:
        name, number = _split(text, 2)
        return experiment_named(name), number[0]
    name, number = _by_id("runs_only", "run_id", text, "a run", "EXPERIMENT/RUN", "experiment, run_number")
    return name, number


def invocation_named(text: str) -> tuple[str, int, int]:
    """Experiment, run and sequence number: ``EXPERIMENT/RUN/SEQUENCE``, or the beginning of its hexadecimal id.

    Raises:
        UnknownName: there is none, or there are several.
    """
    if "/" in text:
        name, numbers = _split(text, 3)
        return experiment_named(name), numbers[0], numbers[1]
    columns = "experiment, run_number, sequence_number"
    name, run, sequence = _by_id(
        "invocations", "invocation_id", text, "an invocation", "EXPERIMENT/RUN/SEQUENCE", columns
    )
    return name, run, sequence


def kind_of(text: str) -> str:
    """What a text names: ``experiment``, ``run`` or ``invocation``; an experiment before an id that begins the same.

    Raises:
        UnknownName: it names none of them, or several.
    """
    if "/" in text:
        return "run" if text.count("/") == 1 else "invocation"
    try:
        experiment_named(text)
    except UnknownName:
        if _HEX.fullmatch(text.lower()):
            for kind, named in (("run", run_named), ("invocation", invocation_named)):
                try:
                    named(text)
                except Unmatched:
                    continue
                return kind
        raise
    return "experiment"


def _split(text: str, count: int) -> tuple[str, list[int]]:
    name, *numbers = text.split("/")
    if len(numbers) != count - 1 or not all(number.isdecimal() for number in numbers):
        form = "EXPERIMENT/RUN/SEQUENCE" if count == 3 else "EXPERIMENT/RUN"
        raise UnknownName(f"{text!r} is not {form} with whole numbers, such as demo/12{'/3' if count == 3 else ''}")
    return name, [int(number) for number in numbers]


def _by_id(view: str, column: str, text: str, what: str, form: str, columns: str) -> tuple[Any, ...]:
    from panic_assets.lake import connect

    if not _HEX.fullmatch(text.lower()):
        raise UnknownName(f"{text!r} is not {what}: give {form}, or 4 or more hexadecimal digits of its id")
    low, high = text.lower().ljust(32, "0"), text.lower().ljust(32, "f")
    with connect(tables=["runs" if view == "runs_only" else view]) as connection:
        # A range, and not a prefix, so that row groups are skipped by their statistics.
        rows = connection.execute(
            f"SELECT {columns} FROM {view} WHERE {column} BETWEEN unhex(?) AND unhex(?) ORDER BY ALL LIMIT ?",
            [low, high, _SHOWN + 1],
        ).fetchall()
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise Unmatched(f"no id of {what} begins with {text}; give {form}")
    raise UnknownName(f"{text} may be {either(['/'.join(map(str, row)) for row in rows])}; type more digits, or {form}")


def _source_ids() -> list[tuple[str, str]]:
    """(experiment, identifier in its source) of all imported experiments."""
    from panic_assets.lake import Lake

    rows = Lake.open().read("imported_experiments", columns=["experiment", "source_id"]).to_pylist()
    return [(row["experiment"], row["source_id"]) for row in rows]


def _last_commits(partition: str = _PARTITION) -> dict[str, float]:
    """When each experiment (or study) of the lake was written to for the last time, in Unix seconds."""
    last: dict[str, float] = {}
    for path in paths.lake_dir().glob(f"*/{partition}*/{_MANIFEST}"):
        try:
            at = path.stat().st_mtime
        except FileNotFoundError:  # deleted just now
            continue
        name = path.parent.name.removeprefix(partition)
        last[name] = max(at, last.get(name, 0.0))
    # The record of a deletion bears the bare name of an experiment.
    going, prefix = paths.lake_dir() / _DELETING, "" if partition == _PARTITION else partition
    return {name: at for name, at in last.items() if not (going / f"{prefix}{name}").exists()}


def either(names: Sequence[str]) -> str:
    """``one, two or three``, a few of them."""
    shown = list(names[:_SHOWN])
    more = ", ..." if len(names) > _SHOWN else ""
    return (", ".join(shown) + more) if more else " or ".join(shown)


def some(names: Sequence[str]) -> str:
    """Names in a row, a dozen at most."""
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


# What a shell completes -----------------------------------------------------------------------------------------------


def complete_experiment(incomplete: str) -> list[str]:
    """Names of experiments that begin so. A file counts by its stem."""
    folder = paths.experiments_dir()
    files = {path.stem for path in folder.glob("*") if path.suffix in _SUFFIXES}
    return beginning(files | set(_last_commits()) | {LATEST}, incomplete)


def complete_study(incomplete: str) -> list[str]:
    """Names of studies that begin so."""
    return beginning(known_studies(), incomplete)


def complete_model(incomplete: str) -> list[str]:
    """Names of models that begin so."""
    from panic_assets.models.registry import load_registry

    return beginning(load_registry(), incomplete)


def beginning(names: Iterable[str], incomplete: str) -> list[str]:
    """Names that begin so, sorted."""
    return sorted(name for name in names if name.startswith(incomplete) and not name.startswith("."))

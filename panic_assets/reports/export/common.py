"""What all exports share: their error, how they tell progress, and files that are whole or absent.

Here belongs nothing that knows a format.
"""

from __future__ import annotations

import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

from panic_assets.dynamics.corpus import Corpus, NothingToAnalyse, Run, load_corpus
from panic_assets.errors import PanicError
from panic_assets.lake import Lake, LakeError

#: Called with (how much is done, how much there is); the first call comes before any work.
Progress = Callable[[int, int], None]

_SLUG_LENGTH = 48
_Item = TypeVar("_Item")


class ExportError(PanicError):
    """An export that can't be made: what was asked, why not, and what could be."""


def silent(done: int, total: int) -> None:
    """Tell nobody."""


def load_runs(lake: Lake, experiment: str) -> Corpus:
    """The runs of an experiment with their outputs.

    Raises:
        ExportError: the lake holds no runs of it; the message names the experiments that there are.
    """
    try:
        return load_corpus(lake, experiment)
    except (NothingToAnalyse, LakeError) as error:
        known = lake.experiments("runs")
        if experiment in known:
            raise
        there = f"there are: {', '.join(known)}" if known else "it holds none yet; `panic run FILE` first"
        raise ExportError(f"the lake at {lake.root} holds no runs of an experiment {experiment!r}; {there}") from error


def chosen_runs(corpus: Corpus, numbers: list[int]) -> list[Run]:
    """The runs of these numbers, in this order.

    Raises:
        ExportError: there is no such run.
    """
    runs = {run.number: run for run in corpus.runs}
    missing = [number for number in numbers if number not in runs]
    if missing:
        raise ExportError(
            f"experiment {corpus.experiment} has no run {', '.join(map(str, missing))}; "
            f"its runs are {min(runs)} to {max(runs)}"
        )
    return [runs[number] for number in numbers]


def ending(run: Run) -> str:
    """How a run ended, in a word or two: ``cycle 4``, ``length``, ``failed``, ``quality`` or ``unfinished``."""
    if run.stop_reason == "cycle":
        return f"cycle {run.cycle_length}"
    return run.stop_reason or "unfinished"


def slug(text: str) -> str:
    """The text as part of a file's name: lower case letters, digits and hyphens, at most 48; never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:_SLUG_LENGTH].strip("-") or "x"


def batches(items: Iterable[_Item], most: int) -> Iterator[list[_Item]]:
    """The items in lists of ``most``; the last may be shorter."""
    rest = iter(items)
    while some := list(islice(rest, most)):
        yield some


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write under, in the folder of ``path`` and with its suffix; it takes the place of ``path`` at the end.

    If the block fails, nothing is left and ``path`` is as before.

    Raises:
        ExportError: the place can't be written to.
    """
    aside = path.with_name(f".{path.stem[:80]}.tmp-{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        os.replace(aside, path)
    except OSError as error:
        raise ExportError(
            f"{path} could not be written: {error.strerror or error}; free space, or choose another place"
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink()

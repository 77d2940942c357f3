"""What a folder of files (of experiments, of studies) held at the last look, and what is new now.

Here belongs telling files that are ready from those that are still being written or are broken, cheaply: a file is read
when its stamp changes, and never twice. Starting runs is the sensor's business.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from panic_assets.errors import PanicError
from panic_assets.experiment import Experiment
from panic_assets.loop.ids import content_id

#: A file that was touched less than so many seconds ago may still be being written.
SETTLED_SECONDS = 2.0
#: Seconds of one look that may go into reading files; the rest is read at the next one.
READING_SECONDS = 2.0
#: Gives the name in a file, and a fingerprint that changes when what is in it does.
Identify = Callable[[Path], tuple[str, str]]
_FORM = 1
_LONGEST = 1000  # letters of a problem: it is kept with each tick


@dataclass(frozen=True)
class Seen:
    """A file as it was read: the name in it and its fingerprint, or what is wrong with it."""

    stamp: str
    name: str = ""
    fingerprint: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Memory:
    """What is remembered between two looks; its JSON is the cursor of the sensor.

    ``files``: by file name. ``started``: fingerprint of each name when it was last started. ``told``: what was
    said to be wrong, by file name. ``models``: stamp of the person's own model registry.
    """

    files: Mapping[str, Seen] = field(default_factory=dict)
    started: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    models: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Memory:
        """From a cursor; one that can't be understood counts as none, and every file as new."""
        try:
            form, files, other, told, models = json.loads(text or "[]")
            if form == _FORM:
                known = {name: Seen(*values) for name, values in files.items()}
                started = {seen.name: seen.fingerprint for seen in known.values() if seen.name} | dict(other)
                return cls(known, {name: value for name, value in started.items() if value}, told, models)
        except (ValueError, TypeError, AttributeError):
            pass
        return cls()

    def dump(self) -> str:
        """As short as can be, as Dagster keeps a copy with each tick: what was started as it now is, is left out."""
        files = {
            name: [seen.stamp, seen.name, seen.fingerprint] + ([seen.problem] if seen.problem else [])
            for name, seen in self.files.items()
        }
        fingerprints = {(seen.name, seen.fingerprint) for seen in self.files.values() if seen.name}
        other = {name: self.started.get(name, "") for name, value in fingerprints if self.started.get(name) != value}
        other |= {name: value for name, value in self.started.items() if (name, value) not in fingerprints}
        values = [_FORM, files, other, dict(self.told), self.models]
        return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Look:
    """What a look at the folder found.

    ``ready``: fingerprints of what good files hold, by name. ``unsettled``: files that are left for the next
    look. ``problems``: what is wrong with each broken file.
    """

    files: dict[str, Seen]
    ready: dict[str, str]
    unsettled: list[str]
    problems: dict[str, str]


def look(
    paths: list[Path], before: Mapping[str, Seen], check: Callable[[Experiment], None], now: float | None = None
) -> Look:
    """Look at experiment files; those whose stamp is the one of ``before`` are not read.

    Args:
        paths: the files, in the order in which they win a name that several claim.
        before: what the last look found.
        check: raises a `PanicError` for an experiment that can't be run.
        now: Unix time in seconds, for tests.
    """

    def identify(path: Path) -> tuple[str, str]:
        experiment = Experiment.load(path)
        check(experiment)
        return experiment.name, fingerprint(experiment)

    return look_at(paths, before, identify, now)


def look_at(paths: list[Path], before: Mapping[str, Seen], identify: Identify, now: float | None = None) -> Look:
    """Look at files of any kind, as `look` does. ``identify`` raises a `PanicError` for a file that is not right."""
    files: dict[str, Seen] = {}
    unsettled = []
    now = time.time() if now is None else now
    deadline = time.monotonic() + READING_SECONDS
    for path in paths:
        try:
            stamp, changed = _stamp(path)
        except OSError:  # it went just now
            continue
        known = before.get(path.name)
        if known is not None and known.stamp == stamp:
            files[path.name] = known
        elif 0 <= now - changed < SETTLED_SECONDS or time.monotonic() > deadline:
            unsettled.append(path.name)
            if known is not None:  # what it said before holds until it can be read
                files[path.name] = known
        else:
            files[path.name] = _read(path, stamp, identify)
    ready, claimed = dict[str, str](), dict[str, str]()
    problems = {}
    for name, seen in files.items():
        if not seen.problem and seen.name in claimed:
            problems[name] = f"name: {seen.name!r} is taken by {claimed[seen.name]}; rename one"
        elif seen.problem:
            problems[name] = seen.problem
        else:
            claimed[seen.name], ready[seen.name] = name, seen.fingerprint
    return Look(files, ready, unsettled, problems)


def has_changes(paths: list[Path], before: Mapping[str, Seen]) -> bool:
    """Whether `look` would have anything to read, now or later."""
    stamps = {name: seen.stamp for name, seen in before.items()}
    return any(stamp_of(path) != stamps.get(path.name) for path in paths)


def news(problems: Mapping[str, str], told: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """(problems that were not told before, what is told now)."""
    digests = {name: _digest(problem.encode()) for name, problem in problems.items()}
    return {name: problems[name] for name, digest in digests.items() if told.get(name) != digest}, digests


def stamp_of(path: Path) -> str:
    """Changes whenever the file does; empty if there is none."""
    try:
        return _stamp(path)[0]
    except OSError:
        return ""


def fingerprint(experiment: Experiment) -> str:
    """Changes when the experiment does; a comment in its file does not change it."""
    return content_id(experiment.config).hex()[:16]


def _stamp(path: Path) -> tuple[str, float]:
    """(what tells one state of a file from another, when it last changed in Unix seconds).

    The inode's change counts, too: a copy that keeps the time of its original, or a rename, is a change.
    """
    status = path.stat()
    content = f"{status.st_mtime_ns} {status.st_size} {status.st_ctime_ns} {status.st_ino}"
    return _digest(content.encode()), max(status.st_mtime, status.st_ctime)


def _read(path: Path, stamp: str, identify: Identify) -> Seen:
    try:
        return Seen(stamp, *identify(path))
    except PanicError as error:
        # Those of files name each problem; one of the registry is an override that its model does not take.
        problems = getattr(error, "problems", [str(error)])
        return Seen(stamp, problem="; ".join(" ".join(problem.split()) for problem in problems)[:_LONGEST])


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=6).hexdigest()

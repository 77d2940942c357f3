"""How the studies of a data directory stand: one line for each.

Here belongs gathering; how the lines are shown is the business of ``reports`` and ``web``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from panic_assets.lake.locks import is_held
from panic_assets.studies.bench import Bench
from panic_assets.studies.plan import count
from panic_assets.studies.runner import LOCK, StudySummary
from panic_assets.studies.spec import StudySpec
from panic_assets.studies.stage import NotTrained, last_summary


@dataclass(frozen=True)
class StudyLine:
    """A study: how many trials of how many are over, how many of these are completed, and when the last ended.

    ``state``: running; not trained; incomplete (a limit of time, or it was killed); changed (its file, since it was
    trained); completed; broken (its file, see ``problem``).
    """

    study: str
    state: str
    over: int
    requested: int | None
    completed: int
    last_activity: datetime | None
    problem: str | None = None


def studies_of(bench: Bench, names: Iterable[str]) -> list[StudyLine]:
    """The lines of some studies, the latest activity first."""
    sound, broken = bench.files.read()
    problems = {path.stem: str(error) for path, error in broken.items()}
    lines = [_line(bench, name, sound[name][1] if name in sound else None, problems.get(name)) for name in names]
    return sorted(lines, key=lambda line: (-(line.last_activity.timestamp() if line.last_activity else 0), line.study))


def _line(bench: Bench, name: str, spec: StudySpec | None, problem: str | None) -> StudyLine:
    try:
        summary: StudySummary | None = last_summary(bench, name)
    except NotTrained:
        summary = None
    files = sorted(bench.trials(name).folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    last = datetime.fromtimestamp(files[-1].stat().st_mtime, UTC) if files else None
    is_running = is_held(bench.folder(name) / LOCK)
    requested = count(spec) if spec else summary.requested if summary else None
    if is_running or summary is None:  # of what goes on only the files tell
        state = "running" if is_running else "incomplete" if files else "not trained"
        over, completed = len(files), sum(1 for record in bench.trials(name).all() if record.state == "completed")
    else:
        is_changed = spec is not None and spec.spec_id != summary.spec_id
        state = "changed" if is_changed else "incomplete" if summary.left else "completed"
        over, completed = len(summary.trials), summary.states.get("completed", 0)
    return StudyLine(name, "broken" if problem else state, over, requested, completed, last, problem)

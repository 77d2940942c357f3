"""What the terminal shows: progress bars, the summary table, the list of models.

Here belongs printing. Numbers come from ``summary`` and the registry, figures from ``figures``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from panic_assets.errors import PanicError
from panic_assets.reports.console import console
from panic_assets.reports.summary import NetworkSummary, summarise

if TYPE_CHECKING:
    from panic_assets.devices.reaching import ServerStatus
    from panic_assets.models.checking import Check, Files, Trial
    from panic_assets.models.entry import ModelEntry
    from panic_assets.models.registry import Registry

_STAGES = {
    "invocations": "invocations",
    "embeddings": "vectors",
    "persistence_diagrams": "trajectories' diagrams",
    "clusters": "points clustered",
}
_ROOM_FOR_ALL = 100  # columns of the summary with what is told of cycles and texts
_ROOM_FOR_WORDS = 140  # columns of a table that tells things in words
_TINY = "tiny random "  # how most of what is verified begins


class StageProgress:
    """One bar for each stage, shown only on a terminal. Call it with (asset, done, total, facts)."""

    def __init__(self, silent: bool = False) -> None:
        shown = console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            console=shown,
            disable=silent or not shown.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> StageProgress:
        """Start drawing."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing; the bars stay."""
        self._bars.stop()

    def __call__(self, asset: str, done: int, total: int, facts: Mapping[str, str | float]) -> None:
        """Show how far an asset is."""
        if asset not in self._tasks:
            self._tasks[asset] = self._bars.add_task(asset, total=total, facts="")
        shown = {"per_second": "{}/s", "seconds_left": "{} s left", "embedding_model": "{}"}
        words = ", ".join(form.format(facts[name]) for name, form in shown.items() if name in facts)
        self._bars.update(self._tasks[asset], completed=done, total=total, facts=words)


@dataclass(frozen=True)
class Written:
    """What a run ends with: what became of its runs, and the files that were written of it."""

    experiment: str
    networks: tuple[NetworkSummary, ...]
    report: Path
    figures: tuple[Path, ...]
    catalog: Path


def write_summary(data: Path, experiment: str) -> Written:
    """Write the report of an experiment and its quick figures; give them with the numbers of its runs.

    Raises:
        PanicError: the lake holds no outcomes of that experiment.
    """
    from panic_assets.lake import Lake
    from panic_assets.reports.figures.files import write_figures
    from panic_assets.reports.figures.table import FIGURES, IN_SHORT
    from panic_assets.reports.page.render import write_report

    rows = summarise(data / "lake", experiment)
    if not rows:
        raise PanicError(
            f"the lake at {data / 'lake'} holds no finished runs of {experiment!r}; `panic run FILE` first"
        )
    lake = Lake(data / "lake")
    figures = write_figures(
        lake,
        experiment,
        data / "figures" / experiment,
        figures={name: FIGURES[name] for name in IN_SHORT},
    )
    report = write_report(lake, experiment, data / "reports" / f"{experiment}.html")
    return Written(experiment, tuple(rows), report, tuple(figures), data / "catalog.duckdb")


def print_summary(data: Path, experiment: str, computed: Mapping[str, int] | None) -> None:
    """The summary of an experiment, its report and quick figures written to files, and where to look.

    ``computed``: what was computed this time, by asset; None if nothing was run.

    Raises:
        PanicError: the lake holds no outcomes of that experiment.
    """
    made = write_summary(data, experiment)
    shown = console()
    if computed and any(computed.values()):
        shown.print("Computed: " + ", ".join(f"{computed.get(s, 0)} {what}" for s, what in _STAGES.items()))
    elif computed is not None:
        shown.print("Nothing was computed: the lake holds all of it already.")
    print_networks(experiment, made.networks, shown)
    print_places(data, experiment, shown)


def print_networks(experiment: str, rows: Sequence[NetworkSummary], shown: Console) -> None:
    """What became of the runs of each network, as a table."""
    shown.print(_table(experiment, rows, shown.width))


def print_places(data: Path, experiment: str, shown: Console) -> None:
    """Where to look further: the files that there are, and the commands that make those that there are not."""
    shown.print("Where to look", style="bold")
    report, catalog = data / "reports" / f"{experiment}.html", data / "catalog.duckdb"
    made = f"{report}  (opens offline)" if report.exists() else f"panic report {experiment}"
    lines = [f"  report    {made}"]
    figures = sorted((data / "figures" / experiment).glob("*"))
    lines += [f"  figure    {path}" for path in figures] or [f"  figures   panic figures {experiment}"]
    lines.append(f"  catalog   {catalog}  (DuckDB, read-only views)")
    lines.append(f"  SQL       panic sql \"FROM runs WHERE experiment = '{experiment}'\"")
    for line in lines:
        shown.print(line, soft_wrap=True)
    shown.print("  notebooks notebooks/first_look.ipynb, topology.ipynb, dynamics.ipynb  (.venv/bin/jupyter lab)")
    shown.print("  Dagster   make dev, then open the address it prints")


def print_models(registry: Registry, width: int | None = None) -> None:
    """All models as a table; a question mark stands behind a value that nobody has checked.

    ``width``: columns; None for those of the terminal. Where there is room, what was verified is told in words.
    """
    shown = Console(width=width, highlight=False) if width else console(_ROOM_FOR_WORDS)
    wide = shown.width >= _ROOM_FOR_WORDS
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0) if not wide else (0, 2, 0, 0))
    table.add_column("name", overflow="fold", min_width=max(map(len, registry), default=0))
    for heading, right in (("from", False), ("to", False), ("GiB", True), ("batch", True)):
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    table.add_column("licence", max_width=20)
    table.add_column(f"verified with {_TINY}..." if wide else "verified", min_width=39 if wide else 8)
    if wide:
        table.add_column("not checked besides", max_width=22)
    for entry in registry.values():
        table.add_row(*_model_row(entry), _verification(entry, wide), *([_unchecked(entry)] if wide else []))
    shown.print(table)
    shown.print(
        "\n?: not compared with the model's page. verified: the tests have loaded and called a tiny random model of "
        "its class, or the model itself. `panic models show NAME` tells all of one model.",
        markup=False,
        highlight=False,
    )


def print_devices(status: ServerStatus | None) -> None:
    """The devices of a server process, what is loaded on them, and who uses it."""
    shown = console()
    if status is None:
        shown.print("No process shares devices here; an experiment with PANIC_DEVICES=shared starts one.")
        return
    shown.print(f"process {status.pid}, devices {status.spec or 'auto'}, since {status.started_at:%Y-%m-%d %H:%M:%S}")
    table = Table(box=None, pad_edge=False)
    for heading in ("device", "hardware", "computing", "waiting", "calls", "failed", "loaded (GiB)"):
        table.add_column(heading)
    for device in status.devices:
        loaded = ", ".join(f"{name} {memory:g}" for name, memory in device.resident.items()) or "-"
        counts = (device.computing, device.waiting, device.calls, device.failed)
        table.add_row(device.facts.name, device.facts.hardware, *map(str, counts), loaded)
    shown.print(table)
    users = ", ".join(f"process {one.pid} ({one.calls} calls)" for one in status.clients) or "nobody"
    shown.print(f"used by {users}")


def _model_row(entry: ModelEntry) -> list[str]:
    """The cells of a model up to its licence."""

    def marked(text: str, *fields: str) -> str:
        return text + " ?" if set(fields) & set(entry.unverified) else text

    to = entry.gives or marked(str(entry.dimension), "dimension")
    batch = "probed" if entry.batch is None else str(entry.batch)
    licence = entry.licence + (", gated" if entry.gated else "")
    return [
        marked(entry.name, "source"),
        "+".join(sorted(entry.takes, reverse=True)),
        to,
        marked(f"{entry.memory_gb:g}", "memory_gb"),
        marked(batch, "batch"),
        marked(licence, "licence", "gated"),
    ]


def _verification(entry: ModelEntry, in_words: bool) -> str:
    if not in_words:
        return "yes" if entry.verified else "no"
    return entry.verified.removeprefix(_TINY) or f"nothing: {entry.not_verified or 'an entry of your own'}"


def _unchecked(entry: ModelEntry) -> str:
    """The fields without a check that the table has no other place for."""
    shown = {"source", "dimension", "memory_gb", "batch", "licence", "gated"}
    return ", ".join(field for field in entry.unverified if field not in shown)


def print_check(check: Check) -> None:
    """What a model did when it was tried: time, memory, flags and the first output of a batch."""
    print(f"{check.entry.name}: loaded from {check.entry.source} in {check.load_seconds:.2f} s")
    for trial in check.trials:
        print(f"{trial.medium}: {trial.items} items in a batch, {trial.seconds_per_item:.3g} s each")
        print(f"  flags   {', '.join(sorted(trial.flags)) or 'none'}")
        print(f"  output  {_output(trial)}")
    registered = f"the registry says {check.entry.memory_gb:g}"
    held = "" if check.cuda_gib is None else f", {check.cuda_gib:.2f} GiB on CUDA"
    print(f"memory: {check.host_gib:.2f} GiB more on the host with libraries and work{held}; {registered}")


def print_files(files: Files) -> None:
    """Where a model's files lie, and whether they had to be fetched."""
    what = "its files are here" if files.from_hub else f"nothing has to be fetched; it comes with {files.entry.source}"
    place = "" if files.folder is None else f"\n  {files.size / 2**20:.1f} MiB in {files.folder}"
    print(f"{files.entry.name}: {what}{place}")


def _output(trial: Trial) -> str:
    if isinstance(trial.output, str):
        return repr(trial.output)
    if trial.picture is not None:
        height, width, _ = trial.output.shape
        return f"a picture of {width} x {height} pixels, written to {trial.picture}"
    length = float((trial.output.astype(float) ** 2).sum() ** 0.5)
    return f"a vector of {len(trial.output)} numbers and length {length:.3f}"


def _table(experiment: str, rows: Sequence[NetworkSummary], width: int) -> Table:
    wide = width >= _ROOM_FOR_ALL
    table = Table(title=f"Runs of {experiment}", title_justify="left", box=None, pad_edge=False)
    table.add_column("network", overflow="fold", min_width=12)
    for heading in ("seed", "runs", "fixed\npoints", "longer\ncycles", "settled", "wander", "ended\nearly"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=max(map(len, heading.split("\n"))))
    for heading in ("median\ntransient", *(("longest\ncycle", "distinct\ntexts") if wide else ())):
        table.add_column(heading, justify="right", no_wrap=True, min_width=max(map(len, heading.split("\n"))))
    for row in rows:
        table.add_row(
            row.network,
            "none" if row.unseeded else "fixed",
            *map(str, (row.runs, row.fixed_points, row.longer_cycles, row.settled, row.wanderers, row.stopped_early)),
            "-" if row.transient is None else f"{row.transient:g}",
            *(
                (
                    "-" if row.longest_cycle is None else str(row.longest_cycle),
                    "-" if row.distinct_texts is None else f"{row.distinct_texts:.1f}",
                )
                if wide
                else ()
            ),
        )
    return table

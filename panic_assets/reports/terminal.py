"""What the terminal shows: progress bars, the summary table, the list of models.

Here belongs printing. Numbers come from ``summary`` and the registry, figures from ``figures``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from panic_assets.errors import PanicError
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
_WIDTH = 130  # of what is not a terminal, such as a log
_ROOM_FOR_WORDS = 140  # columns of a table that tells things in words
_TINY = "tiny random "  # how most of what is verified begins


class StageProgress:
    """One bar for each stage, shown only on a terminal. Call it with (asset, done, total, facts)."""

    def __init__(self, silent: bool = False) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            console=console,
            disable=silent or not console.is_terminal,
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


def print_summary(data: Path, experiment: str, computed: Mapping[str, int] | None) -> None:
    """The summary of an experiment, its report and quick figures written to files, and where to look.

    ``computed``: what was computed this time, by asset; None if nothing was run.

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
    console = Console(width=None if Console().is_terminal else _WIDTH)
    if computed is not None:
        if any(computed.values()):
            console.print("Computed: " + ", ".join(f"{computed.get(s, 0)} {what}" for s, what in _STAGES.items()))
        else:
            console.print("Nothing was computed: the lake holds all of it already.")
    console.print(_table(experiment, rows))
    lake = Lake(data / "lake")
    figures = write_figures(
        lake,
        experiment,
        data / "figures" / experiment,
        figures={name: FIGURES[name] for name in IN_SHORT},
    )
    report = write_report(lake, experiment, data / "reports" / f"{experiment}.html")
    console.print("Where to look", style="bold")
    console.print(f"  report    {report}  (opens offline)", soft_wrap=True, markup=False)
    for path in figures:
        console.print(f"  figure    {path}", soft_wrap=True, markup=False)
    console.print(f"  catalog   {data / 'catalog.duckdb'}  (DuckDB, read-only views)", soft_wrap=True, markup=False)
    console.print("  notebooks notebooks/first_look.ipynb, topology.ipynb, dynamics.ipynb  (.venv/bin/jupyter lab)")
    console.print("  Dagster   make dev, then open the address it prints")


def print_models(registry: Registry, width: int | None = None) -> None:
    """All models as a table; a question mark stands behind a value that nobody has checked.

    ``width``: columns; None for those of the terminal. Where there is room, what was verified is told in words.
    """
    console = Console(width=width or (None if Console().is_terminal else _ROOM_FOR_WORDS))
    wide = console.width >= _ROOM_FOR_WORDS
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
    console.print(table)
    console.print(
        "\n?: not compared with the model's page. verified: the tests have loaded and called a tiny random model of "
        "its class, or the model itself. `panic models show NAME` tells all of one model.",
        markup=False,
        highlight=False,
    )


def print_devices(status: ServerStatus | None) -> None:
    """The devices of a server process, what is loaded on them, and who uses it."""
    console = Console(width=None if Console().is_terminal else _WIDTH)
    if status is None:
        console.print("No process shares devices here; an experiment with PANIC_DEVICES=shared starts one.")
        return
    console.print(f"process {status.pid}, devices {status.spec or 'auto'}, since {status.started_at:%Y-%m-%d %H:%M:%S}")
    table = Table(box=None, pad_edge=False)
    for heading in ("device", "hardware", "computing", "waiting", "calls", "failed", "loaded (GiB)"):
        table.add_column(heading)
    for device in status.devices:
        loaded = ", ".join(f"{name} {memory:g}" for name, memory in device.resident.items()) or "-"
        counts = (device.computing, device.waiting, device.calls, device.failed)
        table.add_row(device.facts.name, device.facts.hardware, *map(str, counts), loaded)
    console.print(table)
    users = ", ".join(f"process {one.pid} ({one.calls} calls)" for one in status.clients) or "nobody"
    console.print(f"used by {users}")


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


def _table(experiment: str, rows: list[NetworkSummary]) -> Table:
    table = Table(title=f"Runs of {experiment}", title_justify="left", box=None, pad_edge=False)
    table.add_column("network", overflow="fold")
    for heading in ("seed", "runs", "fixed\npoints", "longer\ncycles", "settled", "wander", "ended\nearly"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=max(map(len, heading.split("\n"))))
    for heading in ("median\ntransient", "longest\ncycle", "distinct\ntexts"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=max(map(len, heading.split("\n"))))
    for row in rows:
        table.add_row(
            row.network,
            "none" if row.unseeded else "fixed",
            *map(str, (row.runs, row.fixed_points, row.longer_cycles, row.settled, row.wanderers, row.stopped_early)),
            "-" if row.transient is None else f"{row.transient:g}",
            "-" if row.longest_cycle is None else str(row.longest_cycle),
            "-" if row.distinct_texts is None else f"{row.distinct_texts:.1f}",
        )
    return table

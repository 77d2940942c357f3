"""``panic list``, ``status`` and ``show``: how experiments stand, and what they made.

Here belong arguments and the choice of what is shown. Numbers and words come from ``reports``.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, Named, print_json
from panic_assets.cli.names import complete_experiment, experiment_named, invocation_named, kind_of, run_named
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    from panic_assets.lake import Lake
    from panic_assets.reports.status import DagsterRun, ExperimentStatus


def list_(as_json: AsJson = False) -> None:
    """List the experiments: state, runs ended, last activity, size.

    Those of files and those of the lake, the latest activity first.
    """
    from panic_assets.reports.console import console
    from panic_assets.reports.overview import experiments_of
    from panic_assets.reports.status_words import print_list

    lines = experiments_of(paths.data_dir())
    if as_json:
        print_json(lines)
    else:
        print_list(lines, console())


def status(
    experiment: Named = "latest",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it anew until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks of --watch.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Tell how far an experiment is, who is at work, what failed.

    Examples: panic status, panic status demo --watch
    """
    from panic_assets.reports.console import console
    from panic_assets.reports.status_words import print_status

    if watch and as_json:
        raise typer.BadParameter("--watch is for people; programs ask again")
    name = experiment_named(experiment)
    if watch:
        _watch(name, every)
        return
    found = _status(name)
    if as_json:
        print_json(_with_shares(found))
    else:
        print_status(found, console())


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="EXPERIMENT, EXPERIMENT/RUN, EXPERIMENT/RUN/SEQUENCE, or 4 or more digits of the id of a run or an "
            "invocation.",
            autocompletion=complete_experiment,
        ),
    ] = "latest",
    as_json: AsJson = False,
) -> None:
    """Show an experiment, a run or an invocation.

    Of an experiment: its settings, what its runs did, where to look. Of a run: its trajectory. Of an invocation: input,
    output and all columns.

    Examples: panic show demo, panic show demo/12, panic show demo/12/3, panic show 3b5f9c2c
    """
    from panic_assets.lake import Lake

    shown = {"experiment": _show_experiment, "run": _show_run, "invocation": _show_invocation}
    shown[kind_of(what)](Lake.open(), what, as_json)


def _show_run(lake: Lake, what: str, as_json: bool) -> None:
    from panic_assets.reports.console import console
    from panic_assets.reports.inspection import run_view
    from panic_assets.reports.inspection_words import print_run

    seen = run_view(lake, *run_named(what))
    if as_json:
        print_json(seen)
    else:
        print_run(seen, console())


def _show_invocation(lake: Lake, what: str, as_json: bool) -> None:
    from panic_assets.reports.console import console
    from panic_assets.reports.inspection import invocation_view
    from panic_assets.reports.inspection_words import print_invocation

    seen = invocation_view(lake, *invocation_named(what))
    if as_json:
        print_json(seen)
    else:
        print_invocation(seen, console())


def _show_experiment(lake: Lake, what: str, as_json: bool) -> None:
    from panic_assets.files import ExperimentFiles
    from panic_assets.reports.console import console
    from panic_assets.reports.inspection_words import print_facts, print_settings
    from panic_assets.reports.settings import asked_of
    from panic_assets.reports.summary import summarise
    from panic_assets.reports.terminal import print_networks, print_places

    name = experiment_named(what)
    asked, file = asked_of(lake, ExperimentFiles(paths.experiments_dir()), name)
    networks = summarise(lake.root, name)
    origin, comparison = _imported(lake, name)
    if as_json:
        print_json(
            {
                "experiment": name,
                "file": file,
                "settings": asked.config,
                "networks": networks,
                "origin": origin,
                "comparison": None if comparison is None else comparison.to_dicts(),
            }
        )
        return
    shown = console()
    shown.print(name, style="bold")
    print_settings(asked, str(file) if file else "none; the settings are those that the lake remembers", shown)
    shown.print()
    if networks:
        print_networks(name, networks, shown)
    else:
        shown.print(f"The lake holds no finished runs of it; `panic run {name}` makes them.")
    if origin:
        shown.print()
        shown.print("Where it comes from", style="bold")
        print_facts(shown, origin)
    if comparison is not None and comparison.height:
        _print_comparison(comparison)
    shown.print()
    print_places(paths.data_dir(), name, shown)


def _imported(lake: Lake, name: str) -> tuple[dict[str, Any] | None, Any]:
    """(what the source says of an imported experiment, how ours compares with it as a polars frame)."""
    rows = lake.read("imported_experiments", name).to_pylist()
    if not rows:
        return None, None
    from panic_assets.interop.comparison import compare_imported

    return rows[0], compare_imported(lake, name)


def _print_comparison(comparison: Any) -> None:
    from panic_assets.reports.console import console
    from panic_assets.reports.rows_words import print_rows

    shown = console()
    shown.print()
    shown.print("What its source computed, and what is computed here", style="bold")
    print_rows(comparison.columns, comparison.rows(), shown)


def _status(name: str) -> ExperimentStatus:
    from panic_assets.reports.status import status_of

    return status_of(paths.data_dir(), name, _dagster_runs(name))


def _with_shares(found: ExperimentStatus) -> dict[str, Any]:
    """A status with what its stages derive."""
    stages = [vars(stage) | {"share": stage.share} for stage in found.stages]
    return vars(found) | {"stages": stages}


def _watch(name: str, every: float) -> None:
    """Show the status anew until a person ends it, which is its normal end."""
    from rich.live import Live

    from panic_assets.reports.console import console
    from panic_assets.reports.status_words import rendered

    shown = console()
    if not shown.is_terminal:
        raise PanicError("--watch needs a terminal; without it the status is printed once")
    try:
        with Live(rendered(_status(name)), console=shown, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                live.update(rendered(_status(name)), refresh=True)
    except KeyboardInterrupt:
        return


def _dagster_runs(name: str) -> list[DagsterRun]:
    """Runs of the experiment that Dagster has not ended, if any run of any experiment is alive now."""
    from panic_assets.cli.common import dagster_instance, state_folder
    from panic_assets.lake.locks import is_held

    # Asking Dagster takes seconds, most of it its import. A run that is at work holds its lock here.
    if not any(is_held(path) for path in (state_folder() / "running").glob("*")):
        return []
    import dagster as dg

    from panic_assets.defs.alive import is_dead
    from panic_assets.reports.status import DagsterRun

    begun = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.QUEUED]
    with dagster_instance() as instance:
        asked = dg.RunsFilter(statuses=begun, tags={"dagster/partition": name})
        return [
            DagsterRun(
                record.dagster_run.run_id,
                record.dagster_run.status.value,
                datetime.fromtimestamp(record.start_time, UTC) if record.start_time else None,
                not is_dead(instance, record.dagster_run.run_id),
            )
            for record in instance.get_run_records(asked)
        ]

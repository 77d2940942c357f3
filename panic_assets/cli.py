"""The ``panic`` command: experiments from the shell.

Here belong arguments, progress and printing. Work is done by Dagster's job or by the function of a room.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths
from panic_assets.cli_export import export_app
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    import dagster as dg

    from panic_assets.experiment import Experiment
    from panic_assets.lake import Lake

app = typer.Typer(no_args_is_help=True, add_completion=True, help="Feedback loops of generative models.")
models_app = typer.Typer(no_args_is_help=True, help="The models that exist.")
app.add_typer(models_app, name="models")
devices_app = typer.Typer(no_args_is_help=True, help="The process that experiments share devices in.")
app.add_typer(devices_app, name="devices")
app.add_typer(export_app, name="export")

STATE_VARIABLE = "PANIC_DAGSTER_STATE"


def main() -> None:
    """Run the command; a described problem is printed without a trace and exits with 1."""
    try:
        app()
    except PanicError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="An experiment file, YAML or JSON.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
) -> None:
    """Run an experiment through Dagster: loops, embeddings, diagrams, clusters, analyses, catalog.

    What was computed before is not computed again, so that a killed run goes on and a grown one does only what is new.
    """
    from panic_assets.reports.terminal import StageProgress, print_summary

    experiment = _adopt(file)
    with _instance() as instance, StageProgress(silent=quiet) as progress:
        _register(instance, experiment)
        computed = _execute(instance, experiment, progress)
    if not quiet:
        print_summary(paths.data_dir(), experiment.name, computed)


@app.command()
def plan(
    file: Annotated[Path, typer.Argument(help="An experiment file, YAML or JSON.")],
    gpu: Annotated[str | None, typer.Option(help="Kind of GPU to plan for, such as 'RTX 4090' or H100.")] = None,
    memory: Annotated[float | None, typer.Option(help="GiB that models may take of a device, instead.")] = None,
    devices: Annotated[int | None, typer.Option(help="How many devices.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All numbers, as JSON.")] = False,
) -> None:
    """What an experiment will take: order of networks, loads, hours, disk. Nothing is run or written.

    Without options it is planned for this machine. Seconds that were measured here come before published ones.
    """
    from panic_assets.reports.plan import plan_as_json, plan_file, print_plan

    made = plan_file(file, paths.data_dir(), gpu, memory, devices)
    if as_json:
        print(plan_as_json(made))
    else:
        print_plan(made)


@app.command()
def register(file: Annotated[Path, typer.Argument(help="An experiment file, YAML or JSON.")]) -> None:
    """Check an experiment file and make it a partition, for `dagster asset materialize --partition`."""
    experiment = _adopt(file)
    with _instance() as instance:
        _register(instance, experiment)
    print(experiment.name)


@app.command()
def summary(experiment: Annotated[str, typer.Argument(help="Name of an experiment.")]) -> None:
    """What an experiment's runs did, in a table, and where to look further."""
    from panic_assets.reports.terminal import print_summary

    print_summary(paths.data_dir(), experiment, None)


@app.command()
def report(
    experiments: Annotated[list[str], typer.Argument(help="An experiment, or several to compare.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The HTML file to write.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Put several experiments on one page.")] = False,
) -> None:
    """Write the report: one HTML page that opens offline, from what was run to what it did."""
    from panic_assets.lake import Lake
    from panic_assets.reports.page.render import write_comparison, write_report

    if compare != (len(experiments) > 1):
        raise PanicError("give one experiment, or --compare and two or more")
    path = output or paths.data_dir() / "reports" / f"{'-and-'.join(experiments)}.html"
    lake = Lake.open()
    written = write_comparison(lake, experiments, path) if compare else write_report(lake, experiments[0], path)
    print(f"{written} ({written.stat().st_size / 2**20:.1f} MiB)")


@app.command()
def figures(
    experiment: Annotated[str, typer.Argument(help="Name of an experiment.")],
    kind: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    only: Annotated[str | None, typer.Option(help="Draw this one alone, such as drift; slow ones only so.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to; else figures/EXPERIMENT in the data directory.")
    ] = None,
) -> None:
    """Draw all figures of an experiment into files, from what the lake holds; nothing is computed anew."""
    from panic_assets.lake import Lake
    from panic_assets.reports.figures.files import write_figures

    into = folder or paths.data_dir() / "figures" / experiment
    for path in write_figures(
        Lake.open(), experiment, into, kind, only, tell=lambda words: print(words, file=sys.stderr)
    ):
        print(path)


@app.command()
def delete(
    experiment: Annotated[str, typer.Argument(help="Name of an experiment.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Delete everything that the lake holds of an experiment; its file stays."""
    from panic_assets.lake import TABLES, Lake

    lake = Lake.open()
    held = [t for t, spec in TABLES.items() if spec.partitioned and experiment in lake.experiments(t)]
    if not held:
        raise PanicError(f"the lake at {lake.root} holds nothing of an experiment {experiment!r}")
    for table in held:
        print(f"{table}: {_size(lake, table, experiment)}")
    if yes or typer.confirm(f"Delete them from {lake.root}?"):
        # What was made of other tables first: if it ends half-way, what is left can be run on or deleted again.
        for table in reversed(held):
            lake.delete(table, experiment)
        print("deleted; clusters and catalog follow at their next materialisation")


@models_app.command("list")
def list_models() -> None:
    """All models with what they take and give, their memory, and what was verified."""
    from panic_assets.models.registry import load_registry
    from panic_assets.reports.terminal import print_models

    print_models(load_registry())


@models_app.command("show")
def show_model(name: Annotated[str, typer.Argument(help="Name of a model.")]) -> None:
    """One registry entry; values that nobody has checked are marked."""
    import yaml

    from panic_assets.models.levers import EFFECTS, levers_of
    from panic_assets.models.registry import load_registry

    entry = load_registry()[name]
    for field, value in entry.model_dump(mode="json", exclude_defaults=True).items():
        mark = "   # not checked against the model's page" if field in entry.unverified else ""
        first, *rest = yaml.safe_dump({field: value}, sort_keys=False, allow_unicode=True).rstrip().split("\n")
        print("\n".join([first + mark, *rest]))
    for lever in levers_of(entry.load):
        print(f"# load.{lever.option}: {lever.value} - {lever.effect}: {EFFECTS[lever.effect]}")
    if entry.remote_code:
        print("# brings code of its own: runs only if data/remote_code.yaml allows it (docs/models.md)")


def _size(lake: Lake, table: str, experiment: str) -> str:
    """How much a partition holds. A damaged manifest can't tell, and must not keep anyone from deleting it."""
    from panic_assets.lake import CorruptPart

    try:
        manifest = lake.manifest(table, experiment)
    except CorruptPart:
        return "damaged"
    return f"{manifest.rows if manifest else 0} rows"


@models_app.command("check")
def check_model(
    name: Annotated[str, typer.Argument(help="Name of a model.")],
    device: Annotated[str, typer.Option(help="auto, cpu, mps, cuda or cuda:1.")] = "auto",
) -> None:
    """Load a model and run one batch on a plain input: time, memory, flags and what came out."""
    from panic_assets.models import checking
    from panic_assets.models.registry import load_registry
    from panic_assets.reports.terminal import print_check

    print_check(checking.check_model(load_registry()[name], device))


@models_app.command("download")
def download_model(name: Annotated[str, typer.Argument(help="Name of a model.")]) -> None:
    """Fetch a model's files from the hub at the entry's revision, without loading them."""
    from panic_assets.models import checking
    from panic_assets.models.registry import load_registry
    from panic_assets.reports.terminal import print_files

    print_files(checking.download(load_registry()[name]))


@devices_app.command("status")
def devices_status() -> None:
    """What the shared devices hold and do; they are used with `PANIC_DEVICES=shared`."""
    from panic_assets.devices.reaching import status
    from panic_assets.reports.terminal import print_devices

    print_devices(status(paths.data_dir()))


@devices_app.command("stop")
def devices_stop() -> None:
    """End the process of the shared devices; the next call of an experiment starts a new one."""
    from panic_assets.devices.reaching import stop

    pid = stop(paths.data_dir())
    print("no process shares devices here" if pid is None else f"ended process {pid}")


def _adopt(file: Path) -> Experiment:
    """Check a file against the registry, then take it into the data directory."""
    from panic_assets.experiment import Experiment
    from panic_assets.files import ExperimentFiles
    from panic_assets.models.registry import load_registry

    Experiment.load(file).check(load_registry(), where=str(file))
    return ExperimentFiles(paths.experiments_dir()).adopt(file)


def _instance() -> dg.DagsterInstance:
    """The Dagster instance of this data directory."""
    import dagster as dg

    state = Path(os.environ.setdefault(STATE_VARIABLE, str(paths.data_dir() / ".dagster")))
    state.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("DAGSTER_HOME", str(paths.project_dir()))
    return dg.DagsterInstance.get()


def _register(instance: dg.DagsterInstance, experiment: Experiment) -> None:
    from panic_assets.defs.partitions import EXPERIMENTS

    instance.add_dynamic_partitions(str(EXPERIMENTS.name), [experiment.name])


def _execute(instance: dg.DagsterInstance, experiment: Experiment, progress: object) -> dict[str, int]:
    """Run the job in this process; how many items each asset computed.

    Raises:
        PanicError: a step failed or a check found something; the message is that of the cause.
    """
    from panic_assets.definitions import build_defs
    from panic_assets.defs.launch import execute
    from panic_assets.defs.progress import listening

    with listening(progress):  # type: ignore[arg-type]
        return execute(build_defs().resolve_job_def("experiment"), instance, experiment.name)


if __name__ == "__main__":
    main()

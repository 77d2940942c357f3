"""``panic study``: train studies, look at what came of them, keep them in order.

Here belong arguments, questions and printing; work is done by Dagster's job or by the functions of ``studies`` and
``upkeep``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from panic_assets import paths
from panic_assets.cli.asking import size_of
from panic_assets.cli.common import AsJson, dagster_instance, execute, print_json
from panic_assets.cli.experiments import Quiet
from panic_assets.cli.names import complete_study, known_studies
from panic_assets.cli.study_keeping import delete
from panic_assets.cli.study_names import study_file, study_named

if TYPE_CHECKING:
    from panic_assets.studies.bench import Bench
    from panic_assets.studies.events.rows import DeadLetter
    from panic_assets.studies.events.store import EventStore
    from panic_assets.studies.runner import StudySummary

study_app = typer.Typer(
    no_args_is_help=True, help="Train models of trajectories, with and without constraints, and compare them."
)
Named = Annotated[
    str,
    typer.Argument(metavar="STUDY", help="Name of a study, or its beginning.", autocompletion=complete_study),
]


@study_app.command()
def run(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A study file, such as data/studies/demo.yaml; or the name of a study, such as demo.",
            autocompletion=complete_study,
        ),
    ],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run a study: train its trials, measure them, compare the arms, write the report.

    What was trained before is not trained again, so that a killed study goes on and a grown one does only what is new.

    Examples: panic study run data/studies/demo.yaml, panic study run demo
    """
    from panic_assets.reports.console import console
    from panic_assets.reports.terminal import StageProgress
    from panic_assets.studies.stage import last_summary

    bench = _bench()
    spec = bench.files.adopt(study_file(file))
    doubts: list[str] = []
    with dagster_instance() as instance, StageProgress(silent=quiet) as progress:
        _register(instance, spec.name)
        computed = execute(instance, spec.name, progress, job="study", tell=doubts.append)
    summary = last_summary(bench, spec.name)
    if as_json:
        print_json(_told(bench, summary) | {"trained_now": computed.get("study_trials", 0), "doubts": doubts})
    elif not quiet:
        shown = console()
        _print_work(summary, shown)
        _print_findings(bench, spec.name, shown)
        for doubt in doubts:
            print(f"warning: {doubt}", file=sys.stderr)


@study_app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the studies: state, trials, last activity.

    Those of files and those of the lake, the latest activity first.
    """
    from panic_assets.reports.console import console
    from panic_assets.reports.study_terminal import print_studies
    from panic_assets.studies.overview import studies_of

    lines = studies_of(_bench(), known_studies())
    if as_json:
        print_json(lines)
    else:
        print_studies(lines, console())


@study_app.command()
def show(study: Named, as_json: AsJson = False) -> None:
    """Show a study: its trials by state, how the arms compare, what became of its claim.

    Examples: panic study show demo, panic study show demo --json
    """
    from panic_assets.reports.console import console
    from panic_assets.studies.stage import last_summary

    bench, name = _bench(), study_named(study)
    summary = last_summary(bench, name)
    if as_json:
        print_json(_told(bench, summary))
    else:
        shown = console()
        _print_states(summary, shown)
        _print_findings(bench, name, shown)


@study_app.command()
def report(
    study: Named,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The HTML file to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a study: one HTML page that opens offline.

    It shows what the lake holds; nothing is trained or measured anew.

    Example: panic study report demo
    """
    from panic_assets.reports.study.render import write_study_report
    from panic_assets.studies.tracking.links import pages_of

    bench, name = _bench(), study_named(study)
    written = write_study_report(bench.lake, name, output or bench.report(name), pages_of(bench.mlflow_uri))
    if as_json:
        print_json({"path": written, "bytes": written.stat().st_size})
    else:
        print(f"{written} ({size_of(written.stat().st_size)})")


@study_app.command()
def reconcile(
    study: Named,
    look: Annotated[bool, typer.Option("--look", help="Compare alone, and mend nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make MLflow agree with the lake about every trial of a study, and say how far it does.

    Exits with 1 if they disagree at the end.

    Example: panic study reconcile demo
    """
    from panic_assets.studies.stage import reconcile

    done = reconcile(_bench(), study_named(study), mend=not look)
    if as_json:
        print_json({"share": done.share, "share_before": done.share_before} | vars(done))
    else:
        print(f"{done.trials} trials: MLflow agreed about {done.agreed_before}, and agrees about {done.agreed_after}")
        print(f"  {done.created} runs created, {done.mended} trials mended; share {done.share:.4f}")
        for one in done.disagreements[:20]:
            print(f"  {one.trial_id}: {one.kind}: {one.detail}")
    if done.disagreements:
        raise typer.Exit(1)


@study_app.command()
def replay(
    study: Annotated[
        str | None,
        typer.Argument(metavar="STUDY", help="Name of a study; by default all.", autocompletion=complete_study),
    ] = None,
    look: Annotated[bool, typer.Option("--look", help="List the dead letters, and replay none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replay the dead letters: events that came before what they tell of, or could not be understood.

    Those that still can't be applied stay where they are.

    Examples: panic study replay, panic study replay demo --look
    """
    with _bench().store() as store:
        letters = list(_dead_letters(store, study))
        if letters and not look:
            store.replay([letter.letter_id for letter in letters])
        left = letters if look else list(_dead_letters(store, study))
    if as_json:
        print_json({"letters": len(letters), "replayed": len(letters) - len(left), "left": left})
        return
    print(f"{len(letters)} dead letters" + ("" if look else f"; {len(left)} are left"))
    for letter in left[:20]:
        about = letter.trial_id or letter.model_run_id or "-"
        print(f"  {letter.letter_id} {letter.name or '?'} of {about}: {letter.reason}: {'; '.join(letter.details)}")


# After the others, so that the help begins with `run`.
study_app.command()(delete)


def _dead_letters(store: EventStore, study: str | None) -> Iterator[DeadLetter]:
    """All of them, page by page."""
    after = 0
    while page := store.dead_letters(study, after=after):
        yield from page
        after = page[-1].letter_id


def _bench() -> Bench:
    from panic_assets.studies.bench import Bench

    return Bench(paths.data_dir())


def _told(bench: Bench, summary: StudySummary) -> dict[str, Any]:
    from panic_assets.studies.from_lake import study_comparison, study_sentence

    return {
        **vars(summary),
        "sentence": study_sentence(bench.lake, summary.study),
        "comparison": study_comparison(bench.lake, summary.study),
        "report": bench.report(summary.study),
    }


def _print_work(summary: StudySummary, shown: Any) -> None:
    """What was done this time, and what is left."""
    if summary.trained or summary.measured:
        parts = [f"Trained: {summary.trained} trials"] if summary.trained else []
        parts += [f"{'measured' if parts else 'Measured'} anew: {summary.measured} trials"] if summary.measured else []
        shown.print(f"{', '.join(parts)}, in {summary.seconds:.0f} s.")
    else:
        shown.print("Nothing was trained: all trials of this study are over.")
    _print_states(summary, shown)


def _print_states(summary: StudySummary, shown: Any) -> None:
    from panic_assets.reports.study_terminal import states_in_words

    shown.print(f"Trials of {summary.study}: {states_in_words(summary.states)}.")
    if summary.left:
        shown.print(f"{summary.left} of {summary.requested} are left: {summary.why}.", style="yellow")
    for note in summary.notes:
        shown.print(f"note: {note}", style="yellow")


def _print_findings(bench: Bench, study: str, shown: Any) -> None:
    from panic_assets.reports.study_terminal import print_comparison, print_study_places
    from panic_assets.studies.from_lake import study_comparison

    shown.print()
    print_comparison(study_comparison(bench.lake, study), shown)
    shown.print()
    print_study_places(bench.root, study, shown)


def _register(instance: Any, study: str) -> None:
    from panic_assets.defs.partitions import STUDIES

    instance.add_dynamic_partitions(str(STUDIES.name), [study])

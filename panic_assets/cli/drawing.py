"""``panic report`` and ``panic figures``: pages and pictures of what the lake holds.

Here belong arguments and printing; they are made by ``reports.page`` and ``reports.figures``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, Named, print_json
from panic_assets.cli.names import complete_experiment, experiment_named
from panic_assets.errors import PanicError


def report(
    experiments: Annotated[
        list[str],
        typer.Argument(help="An experiment, or several with --compare.", autocompletion=complete_experiment),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The HTML file to write.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Put several experiments on one page.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the report: one HTML page that opens offline.

    It goes from what was run to what it did. Nothing is computed anew.

    Examples: panic report demo, panic report --compare demo first -o both.html
    """
    from panic_assets.lake import Lake
    from panic_assets.reports.page.render import write_comparison, write_report

    if compare != (len(experiments) > 1):
        raise PanicError("give one experiment, or --compare and two or more")
    names = [experiment_named(text) for text in experiments]
    path = output or paths.data_dir() / "reports" / f"{'-and-'.join(names)}.html"
    lake = Lake.open()
    written = write_comparison(lake, names, path) if compare else write_report(lake, names[0], path)
    if as_json:
        print_json({"path": written, "bytes": written.stat().st_size})
    else:
        print(f"{written} ({written.stat().st_size / 2**20:.1f} MiB)")


def figures(
    experiment: Named,
    kind: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    only: Annotated[str | None, typer.Option(help="Draw this one alone, such as drift; slow ones only so.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to; else figures/EXPERIMENT in the data directory.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the figures of an experiment into files.

    They show what the lake holds; nothing is computed anew.

    Examples: panic figures demo, panic figures demo --only drift --format pdf
    """
    from panic_assets.lake import Lake
    from panic_assets.reports.figures.files import write_figures

    name = experiment_named(experiment)
    into = folder or paths.data_dir() / "figures" / name
    written = write_figures(Lake.open(), name, into, kind, only, tell=lambda words: print(words, file=sys.stderr))
    if as_json:
        print_json({"paths": written})
    else:
        for path in written:
            print(path)

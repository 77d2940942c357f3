"""The ``panic`` command, put together from its families of commands.

Here belongs which commands there are, and what becomes of an error; what a command does is in the module of its family.
"""

from __future__ import annotations

import sys

import typer

from panic_assets.cli import experiments, keeping
from panic_assets.cli.devices import devices_app
from panic_assets.cli.export import export_app
from panic_assets.cli.models import models_app
from panic_assets.errors import PanicError

app = typer.Typer(no_args_is_help=True, add_completion=True, help="Feedback loops of generative models.")
for command in (
    experiments.run,
    experiments.plan,
    experiments.add,
    experiments.summary,
    experiments.report,
    experiments.figures,
    keeping.delete,
):
    app.command()(command)
app.add_typer(models_app, name="models")
app.add_typer(devices_app, name="devices")
app.add_typer(export_app, name="export")


def main() -> None:
    """Run the command; a described problem is printed without a trace and exits with 1."""
    try:
        app()
    except PanicError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)

"""The ``panic`` command, put together from its families of commands.

Here belongs which commands there are, and what becomes of an error; what a command does is in the module of its family.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from panic_assets.cli import deleting, doctor, drawing, experiments, importing, keeping, looking, sql
from panic_assets.cli.codec import codec_app
from panic_assets.cli.devices import devices_app
from panic_assets.cli.export import export_app
from panic_assets.cli.live import live_app, serve
from panic_assets.cli.models import models_app
from panic_assets.cli.studies import study_app
from panic_assets.errors import PanicError

_RUN, _STUDIES, _LIVE, _LOOK, _KEEP, _MODELS = "Run", "Studies", "Live", "Look", "Keep", "Models"
#: Commands by the panel of the help that they are in; a trailing underscore keeps a name from Python's own.
_COMMANDS: dict[str, tuple[Callable[..., Any], ...]] = {
    _RUN: (experiments.run, experiments.resume, experiments.plan, experiments.add),
    _LIVE: (serve,),
    _LOOK: (looking.list_, looking.status, looking.show, drawing.report, drawing.figures, sql.sql),
    _KEEP: (
        importing.import_,
        doctor.doctor,
        deleting.delete,
        keeping.gc,
        keeping.backup,
        keeping.restore,
    ),
}
_INTERRUPTED, _READER_WENT_AWAY = 130, 141

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Feedback loops of generative models: run them, look at them, keep what they made.",
    epilog="Begin with `panic run data/experiments/demo.yaml`; docs/commands.md shows every command at work.",
)
for _panel, _members in _COMMANDS.items():
    for _command in _members:
        app.command(_command.__name__.rstrip("_"), rich_help_panel=_panel)(_command)
app.add_typer(study_app, name="study", rich_help_panel=_STUDIES)
app.add_typer(live_app, name="live", rich_help_panel=_LIVE)
app.add_typer(export_app, name="export", rich_help_panel=_LOOK)
app.add_typer(models_app, name="models", rich_help_panel=_MODELS)
app.add_typer(codec_app, name="codec", rich_help_panel=_MODELS)
app.add_typer(devices_app, name="devices", rich_help_panel=_MODELS)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"panic {version('panic-assets')}")
        raise typer.Exit


@app.callback()
def _panic(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command.

    A described problem is printed without a trace and exits with 1; Ctrl-C exits with 130, a reader that went away with
    141 and nothing said.
    """
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except PanicError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # What is left in the buffer would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_READER_WENT_AWAY)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("interrupted; the same command goes on from here", file=sys.stderr)
        raise

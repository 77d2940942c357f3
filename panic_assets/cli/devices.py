"""``panic devices``: the process that experiments share devices in.

Here belongs printing.
"""

from __future__ import annotations

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, print_json

devices_app = typer.Typer(no_args_is_help=True, help="The process that experiments share devices in.")


@devices_app.command("status")
def devices_status(as_json: AsJson = False) -> None:
    """Tell what the shared devices hold and do.

    Experiments use them with `PANIC_DEVICES=shared`.
    """
    from panic_assets.devices.reaching import status
    from panic_assets.reports.terminal import print_devices

    found = status(paths.data_dir())
    if as_json:
        print_json(found)
    else:
        print_devices(found)


@devices_app.command("stop")
def devices_stop(as_json: AsJson = False) -> None:
    """End the process of the shared devices.

    The next call of an experiment starts a new one.
    """
    from panic_assets.devices.reaching import stop

    pid = stop(paths.data_dir())
    if as_json:
        print_json({"ended_process": pid})
        return
    print("no process shares devices here" if pid is None else f"ended process {pid}")

"""``panic devices``: the process that experiments share devices in.

Here belongs printing.
"""

from __future__ import annotations

import typer

from panic_assets import paths

devices_app = typer.Typer(no_args_is_help=True, help="The process that experiments share devices in.")


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

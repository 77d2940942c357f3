"""``panic models``: the registry from the shell.

Here belong arguments and printing.
"""

from __future__ import annotations

from typing import Annotated

import typer

models_app = typer.Typer(no_args_is_help=True, help="The models that exist.")


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

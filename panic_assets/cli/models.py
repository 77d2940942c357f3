"""``panic models``: the registry from the shell.

Here belong arguments and printing; numbers and words come from ``models`` and ``reports``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from panic_assets.cli.common import AsJson, print_json
from panic_assets.cli.names import complete_model

if TYPE_CHECKING:
    from panic_assets.models.entry import ModelEntry

ModelName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a model, such as TinyScenes.", autocompletion=complete_model)
]

models_app = typer.Typer(no_args_is_help=True, help="The models that exist, and whether they work here.")


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List all models: what they take and give, memory, what was verified."""
    from panic_assets.models.registry import load_registry
    from panic_assets.reports.terminal import print_models

    if as_json:
        print_json([_plain(entry) for entry in load_registry().values()])
    else:
        print_models(load_registry())


@models_app.command("show")
def show_model(name: ModelName, as_json: AsJson = False) -> None:
    """Show one registry entry; values that nobody has checked are marked.

    Example: panic models show FluxDev
    """
    import yaml

    from panic_assets.models.levers import EFFECTS, levers_of
    from panic_assets.models.registry import load_registry

    entry = load_registry()[name]
    if as_json:
        print_json(_plain(entry))
        return
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
    name: ModelName,
    device: Annotated[str, typer.Option(help="auto, cpu, mps, cuda or cuda:1.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Load a model and run one batch: whether it works, how fast.

    The input is a plain one. It tells time, memory, flags and what came out.

    Example: panic models check TinyScenes
    """
    from panic_assets.models import checking
    from panic_assets.models.registry import load_registry
    from panic_assets.reports.terminal import print_check

    made = checking.check_model(load_registry()[name], device)
    if as_json:
        print_json(vars(made) | {"entry": name, "memory_gb": made.entry.memory_gb})
    else:
        print_check(made)


@models_app.command("download")
def download_model(name: ModelName, as_json: AsJson = False) -> None:
    """Fetch a model's files from the hub, without loading them.

    Example: panic models download FluxDev
    """
    from panic_assets.models import checking
    from panic_assets.models.registry import load_registry
    from panic_assets.reports.terminal import print_files

    files = checking.download(load_registry()[name])
    if as_json:
        print_json(vars(files) | {"entry": name, "from_hub": files.from_hub})
    else:
        print_files(files)


def _plain(entry: ModelEntry) -> dict[str, Any]:
    """An entry as JSON, with what follows from it."""
    return entry.model_dump(mode="json") | {"takes": sorted(entry.takes), "gives": entry.gives}

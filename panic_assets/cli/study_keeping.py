"""``panic study delete``: what goes with a study, asked for and told.

Here belong the question and the words; what is deleted is the business of ``upkeep``.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from panic_assets import paths
from panic_assets.cli.asking import DryRun, Yes, ask
from panic_assets.cli.common import AsJson, print_json
from panic_assets.cli.deleting import Now, WithFile, show_consequences, show_done, show_held, tell, unregister
from panic_assets.cli.names import complete_study


def delete(
    # The whole name: a beginning that fits by chance is no way to delete.
    study: Annotated[str, typer.Argument(help="The whole name of a study.", autocompletion=complete_study)],
    yes: Yes = False,
    dry_run: DryRun = False,
    now: Now = False,
    with_file: WithFile = False,
    keep_training: Annotated[bool, typer.Option("--keep-training", help="Keep its report and checkpoints.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a study: its tables, its checkpoints and searches, its report.

    An experiment of the same name is left alone, and MLflow keeps what it was told.
    """
    from panic_assets.defs.partitions import STUDIES
    from panic_assets.lake.locks import locked
    from panic_assets.studies.bench import Bench
    from panic_assets.studies.runner import LOCK
    from panic_assets.upkeep.deleting_studies import delete_study, plan_study_deletion

    data = paths.data_dir()
    plan = plan_study_deletion(data, study)
    if not as_json:
        show_held(plan, f"the study {study}", data, keep_training)
        show_consequences(plan, study, "panic study run", data, now, with_file)
    if dry_run:
        if as_json:
            print_json({"plan": plan, "done": None})
        return
    ask(yes, f"Delete the study {study} from {data}?")
    folder = data / "training" / study
    with locked(folder / LOCK) if folder.is_dir() else nullcontext():  # nobody is training it
        done = delete_study(
            data,
            study,
            now=now,
            with_file=with_file,
            keep_training=keep_training,
            tell=tell,
        )
        if not keep_training:
            with Bench(data).store() as store:
                store.forget(study)
    unregister(STUDIES, study)
    if as_json:
        print_json({"plan": plan, "done": done})
        return
    show_done(done, f"the study {study}")

"""What the tests of the command line share: a shell, a small experiment, and what a command prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from panic_assets import cli
from panic_assets.paths import project_dir

SMOKE = """\
networks: [[DummyT2I, DummyI2T]]
prompts: [a red apple]
seeds: [1, -1]
max_length: 8
embedding_models: [DummyText]
"""


@dataclass(frozen=True)
class Shell:
    """Runs Python modules in a folder elsewhere, whose data directory is ``data`` in it."""

    place: Path

    @property
    def data(self) -> Path:
        return self.place / "data"

    @property
    def variables(self) -> dict[str, str]:
        return {"PANIC_DATA": str(self.data), "PYTHONPATH": str(project_dir()), "COLUMNS": "200"}

    def environment(self, **variables: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PANIC_", "DAGSTER_"))}
        return kept | self.variables | variables

    def __call__(self, *arguments: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.place,
            env=self.environment(**variables),
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def typed(*arguments: str) -> str:
    """What a command prints on stdout.

    Raises:
        PanicError: what `main` prints as an error.
    """
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def document(*arguments: str) -> Any:
    """The one JSON document that a command prints with --json."""
    return json.loads(typed(*arguments, "--json"))

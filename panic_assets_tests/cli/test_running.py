"""``panic run``, ``resume``, ``plan`` and ``add``, in processes of their own where that matters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from panic_assets import cli
from panic_assets.cli.names import UnknownName
from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets.paths import project_dir
from panic_assets_tests.cli.parts import SMOKE, Shell, document, typed


def test_run_prints_the_summary_and_where_to_look(made: Path, first: subprocess.CompletedProcess[str]) -> None:
    shell = Shell(made / "place")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(
        "Computed: 16 invocations, 9 vectors, 2 trajectories' diagrams, 8 points clustered\n"
    )
    assert "Runs of smoke" in first.stdout
    assert "DummyT2I -> DummyI2T" in first.stdout
    assert first.stderr == ""
    shown = [line.split()[1] for line in first.stdout.splitlines() if line.startswith("  figure ")]
    assert {Path(path).name for path in shown} == {"film_strips.png", "drift.png", "persistence.png"}
    assert all(Path(path).is_file() for path in shown)
    with duckdb.connect(str(shell.data / "catalog.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM invocations").fetchall() == [(16,)]
    # State lies in the data directory, and nothing is left where the command was typed.
    assert (shell.data / ".dagster" / "history").is_dir()
    assert {path.name for path in shell.place.iterdir()} == {"data", "smoke.yaml", "ci_smoke.yaml"}


def test_resume_by_name_is_the_same_and_computes_nothing_again(data: Path) -> None:
    again = CliRunner().invoke(cli.app, ["resume", "smo", "--json"])
    assert again.exit_code == 0, again.output
    assert again.stderr == ""
    told = json.loads(again.stdout)
    assert told["experiment"] == "smoke"
    assert not any(told["computed"].values())
    assert Path(told["report"]).is_file()
    assert [network["runs"] for network in told["networks"]] == [1, 1]


def test_a_step_that_fails_is_told_in_the_words_of_its_cause(shell: Shell) -> None:
    """The file is right; what it asks of a model's settings was another thing when its runs were made."""
    changed = shell.data / "changed" / "smoke.yaml"
    changed.parent.mkdir()
    changed.write_text(SMOKE + "models: {DummyT2I: {parameters: {side: 16}}}\n")
    done = shell("panic_assets.cli", "run", str(changed))
    (shell.data / "experiments" / "smoke.yaml").write_text(SMOKE)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: experiment smoke: step runs: ")
    assert "other settings of DummyT2I" in done.stderr
    assert "panic delete smoke" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_recipe_of_a_continuous_integration(shell: Shell) -> None:
    registered = shell("panic_assets.cli", "add", "ci_smoke.yaml")
    assert (registered.returncode, registered.stdout) == (0, "ci_smoke\n"), registered.stderr
    done = shell(
        *("dagster", "asset", "materialize", "-m", "panic_assets.definitions"),
        # Studies have partitions of their own: one command is about one set of them.
        *("--select", "not (group:studies or group:codec)", "--partition", "ci_smoke"),
        DAGSTER_HOME=str(project_dir()),
        PANIC_DAGSTER_STATE=str(shell.data / ".dagster"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lake = Lake(shell.data / "lake")
    assert lake.read("outcomes", "ci_smoke").num_rows == 2
    assert lake.read("persistence_diagrams", "ci_smoke").num_rows == 6
    assert (shell.data / "catalog.duckdb").is_file()


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "long.yaml").write_text(SMOKE.replace("max_length: 8", "max_length: 100000").replace("[1, -1]", "[-1]"))
    command = [sys.executable, "-m", "panic_assets.cli", "run", "long.yaml"]
    lake = Lake(shell.data / "lake")
    with subprocess.Popen(
        command, cwd=tmp_path, env=shell.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            until = time.monotonic() + 120
            while lake.generation("invocations", "long") == 0:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
            os.kill(process.pid, signal.SIGINT)
            out, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert told == "interrupted; the same command goes on from here\n"
    assert lake.read("invocations", "long", columns=["run_number"]).num_rows > 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SMOKE.replace("[DummyT2I, DummyI2T]", "[DummyT2I]"), "the link that closes the ring"),
        (SMOKE.replace("[DummyT2I, DummyI2T]", "[DummyI2T, DummyT2I]"), "a run starts with a prompt"),
        (SMOKE.replace("max_length: 8", "max_length: many"), "max_length"),
        (SMOKE.replace("DummyI2T", "DumyI2T"), "did you mean DummyI2T"),
        (SMOKE + "prompt: a\n", "did you mean prompts?"),
        ("networks: [", "is not YAML"),
    ],
)
def test_a_broken_file_is_told_and_not_taken(text: str, told: str, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    for command in ("run", "add", "plan"):
        with pytest.raises(PanicError) as caught:
            typed(command, str(path))
        assert told in str(caught.value)
        assert str(path) in str(caught.value)
    assert not (data / "experiments" / "broken.yaml").exists()


def test_a_missing_file_and_an_unknown_name_are_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(PanicError, match=r"absent\.yaml: 1 problem\n  - can't be read"):
        typed("run", str(tmp_path / "absent.yaml"))
    for command in ("run", "resume", "plan"):
        with pytest.raises(UnknownName, match="no experiment 'smok-e'; did you mean smoke"):
            typed(command, "smok-e")


def test_an_experiment_without_a_file_says_where_its_settings_are(data: Path) -> None:
    file = data / "experiments" / "smoke.yaml"
    text = file.read_text()
    file.unlink()
    try:
        with pytest.raises(PanicError, match="experiment smoke is in the lake, but has no file"):
            typed("resume", "smoke")
        assert document("show", "smoke")["settings"]["seeds"] == [1, -1]
    finally:
        file.write_text(text)


def test_plan_takes_a_name_too(data: Path) -> None:
    assert "Plan of smoke on" in typed("plan", "smoke")
    told = document("plan", "smoke", "--memory", "4")
    assert (told["experiment"], told["runs"], told["invocations"]) == ("smoke", 2, 16)
    assert told["seconds"] > 0


def test_add_as_json(data: Path, tmp_path: Path) -> None:
    (tmp_path / "added.yaml").write_text(SMOKE)
    assert document("add", str(tmp_path / "added.yaml")) == {"experiment": "added"}
    (data / "experiments" / "added.yaml").unlink()

"""The command line: as a person types it, in processes of their own where that matters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from panic_assets import cli
from panic_assets.errors import PanicError
from panic_assets.lake import TABLES, Lake
from panic_assets.models.registry import UnknownModel, load_registry
from panic_assets.paths import project_dir

SMOKE = """\
networks: [[DummyT2I, DummyI2T]]
prompts: [a red apple]
seeds: [1, -1]
max_length: 8
embedding_models: [DummyText]
"""
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Runs Python modules in a folder elsewhere; the data directory stays the same for all tests here."""
    place = tmp_path_factory.mktemp("place")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PANIC_", "DAGSTER_"))}
    data = str(place / "data")
    own = {"PANIC_DATA": data, "PYTHONPATH": str(project_dir()), "COLUMNS": "200"}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(
            command, cwd=place, env=kept | own | variables, capture_output=True, text=True, timeout=300, check=False
        )

    (place / "smoke.yaml").write_text(SMOKE)
    (place / "ci_smoke.yaml").write_text(SMOKE)
    run.place = place  # type: ignore[attr-defined]
    return run


def folder(shell: Shell) -> Path:
    return shell.place  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def first(shell: Shell) -> subprocess.CompletedProcess[str]:
    """`panic run` for the first time."""
    return shell("panic_assets.cli", "run", "smoke.yaml")


def test_run_prints_the_summary_and_where_to_look(shell: Shell, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(
        "Computed: 16 invocations, 9 vectors, 2 trajectories' diagrams, 8 points clustered\n"
    )
    assert "Runs of smoke" in first.stdout
    assert "DummyT2I -> DummyI2T" in first.stdout
    assert "Traceback" not in first.stderr
    data = folder(shell) / "data"
    shown = [line.split()[1] for line in first.stdout.splitlines() if line.startswith("  figure ")]
    assert {Path(path).name for path in shown} == {"film_strips.png", "drift.png", "persistence.png"}
    assert all(Path(path).is_file() for path in shown)
    with duckdb.connect(str(data / "catalog.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM invocations").fetchall() == [(16,)]
    # State lies in the data directory, and nothing is left where the command was typed.
    assert (data / ".dagster" / "history").is_dir()
    assert {path.name for path in folder(shell).iterdir()} == {"data", "smoke.yaml", "ci_smoke.yaml"}


@pytest.mark.usefixtures("first")
def test_again_nothing_is_computed(shell: Shell) -> None:
    again = shell("panic_assets.cli", "run", "smoke.yaml")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("Nothing was computed: the lake holds all of it already.\n")


@pytest.mark.usefixtures("first")
def test_a_step_that_fails_is_told_in_the_words_of_its_cause(shell: Shell) -> None:
    """The file is right; what it asks of a model's settings was another thing when its runs were made."""
    changed = folder(shell) / "data" / "changed" / "smoke.yaml"
    changed.parent.mkdir()
    changed.write_text(SMOKE + "models: {DummyT2I: {parameters: {side: 16}}}\n")
    done = shell("panic_assets.cli", "run", str(changed))
    (folder(shell) / "data" / "experiments" / "smoke.yaml").write_text(SMOKE)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: experiment smoke: step runs: ")
    assert "other settings of DummyT2I" in done.stderr
    assert "panic delete smoke" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_model_is_told_with_near_names(shell: Shell) -> None:
    path = folder(shell) / "data" / "misspelt.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(SMOKE.replace("DummyI2T", "DumyI2T"))
    done = shell("panic_assets.cli", "run", str(path))
    path.unlink()
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {path}: 1 problem\n")
    assert "did you mean DummyI2T" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_recipe_of_a_continuous_integration(shell: Shell) -> None:
    registered = shell("panic_assets.cli", "add", "ci_smoke.yaml")
    assert (registered.returncode, registered.stdout) == (0, "ci_smoke\n"), registered.stderr
    done = shell(
        *("dagster", "asset", "materialize", "-m", "panic_assets.definitions"),
        *("--select", "*", "--partition", "ci_smoke"),
        DAGSTER_HOME=str(project_dir()),
        PANIC_DAGSTER_STATE=str(folder(shell) / "data" / ".dagster"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lake = Lake(folder(shell) / "data" / "lake")
    assert lake.read("outcomes", "ci_smoke").num_rows == 2
    assert lake.read("persistence_diagrams", "ci_smoke").num_rows == 6
    assert (folder(shell) / "data" / "catalog.duckdb").is_file()


# In this process, which is faster -------------------------------------------------------------------------------------


@pytest.fixture
def data(first: subprocess.CompletedProcess[str], shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory that the commands above made."""
    assert first.returncode == 0
    monkeypatch.setenv("PANIC_DATA", str(folder(shell) / "data"))
    monkeypatch.setenv("PANIC_DAGSTER_STATE", str(folder(shell) / "data" / ".dagster"))
    monkeypatch.setenv("DAGSTER_HOME", str(project_dir()))
    return folder(shell) / "data"


def typed(*arguments: str) -> str:
    """What a command prints.

    Raises:
        PanicError: what `main` prints as an error.
    """
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_main_prints_a_problem_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["panic", "models", "show", "Nothing"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    assert ended.value.code == 1
    assert captured.err.startswith("error: ")
    assert captured.out == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SMOKE.replace("[DummyT2I, DummyI2T]", "[DummyT2I]"), "the link that closes the ring"),
        (SMOKE.replace("[DummyT2I, DummyI2T]", "[DummyI2T, DummyT2I]"), "a run starts with a prompt"),
        (SMOKE.replace("max_length: 8", "max_length: many"), "max_length"),
        (SMOKE + "prompt: a\n", "did you mean prompts?"),
        ("networks: [", "is not YAML"),
    ],
)
def test_a_broken_file_is_told_and_not_taken(text: str, told: str, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(PanicError) as caught:
        typed("run", str(path))
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert not (data / "experiments" / "broken.yaml").exists()


def test_a_missing_file_is_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(PanicError, match=r"absent\.yaml: 1 problem\n  - can't be read"):
        typed("run", str(tmp_path / "absent.yaml"))


def test_summary(data: Path) -> None:
    shown = typed("summary", "smoke")
    assert "Runs of smoke" in shown
    assert "computed" not in shown
    with pytest.raises(PanicError, match="holds no finished runs of 'absent'"):
        typed("summary", "absent")


def test_figures(data: Path, tmp_path: Path) -> None:
    shown = typed("figures", "smoke", "--format", "svg", "--only", "persistence", "--folder", str(tmp_path))
    assert shown.split() == [str(tmp_path / "persistence.svg")]
    assert (tmp_path / "persistence.svg").read_bytes().startswith(b"<?xml")
    with pytest.raises(PanicError, match="holds nothing of an experiment 'absent'"):
        typed("figures", "absent")


def test_models_are_listed_and_shown() -> None:
    listed = typed("models", "list")
    for name in load_registry():
        assert name in listed
    shown = typed("models", "show", "FluxDev")
    assert "name: FluxDev" in shown
    unverified = load_registry()["FluxDev"].unverified
    assert unverified
    marked = [line for line in shown.splitlines() if "not checked against the model's page" in line]
    assert {line.split(":")[0] for line in marked} <= set(unverified)
    assert marked
    with pytest.raises(UnknownModel, match="FluxDev"):
        typed("models", "show", "FluxDe")


def test_delete_asks_and_keeps_on_no(data: Path) -> None:
    result = CliRunner().invoke(cli.app, ["delete", "smoke"], input="n\n")
    assert result.exit_code == 0
    assert "invocations: 16 rows" in result.output
    assert "deleted" not in result.output
    assert Lake(data / "lake").read("invocations", "smoke").num_rows == 16


def test_delete_removes_an_experiment_alone_and_it_can_be_run_again(shell: Shell, data: Path) -> None:
    lake = Lake(data / "lake")
    others = {t: lake.experiments(t) for t, spec in TABLES.items() if spec.partitioned}
    assert "deleted; clusters and catalog follow" in typed("delete", "smoke", "--yes")
    for table, before in others.items():
        assert lake.experiments(table) == [name for name in before if name != "smoke"]
    assert (data / "experiments" / "smoke.yaml").is_file()
    with pytest.raises(PanicError, match="holds nothing of an experiment 'smoke'"):
        typed("delete", "smoke", "--yes")
    assert typed("run", "--quiet", str(folder(shell) / "smoke.yaml")) == ""
    assert lake.read("invocations", "smoke").num_rows == 16


def test_delete_takes_what_was_made_of_other_tables_first(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended half-way, it must not leave outputs of runs that are gone: new runs would take them for theirs."""
    order: list[str] = []
    monkeypatch.setattr(Lake, "delete", lambda self, table, experiment: order.append(table))
    typed("delete", "smoke", "--yes")
    chain = [
        "persistence_diagrams",
        "embeddings",
        "outcomes",
        "images",
        "invocations",
        "runs",
        "prompts",
        "experiments",
    ]
    assert [table for table in order if table in chain] == chain


def test_help_names_every_command() -> None:
    shown = typed("--help")
    for command in ("run", "add", "summary", "delete", "models"):
        assert command in shown

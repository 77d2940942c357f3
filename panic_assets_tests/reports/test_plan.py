"""What `panic plan` says, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from panic_assets.cli import app
from panic_assets.errors import PanicError
from panic_assets.loop.forecast import Forecast
from panic_assets.reports.plan import duration, plan_file, print_plan

ASKED = """
networks: [[DummyT2I, DummyI2T], [DummyT2I2, DummyI2T2, DummyT2I, DummyI2T]]
prompts: [a boat, a hill]
seeds: [1, -1]
max_length: 10
embedding_models: [DummyText, DummyVision]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(ASKED)
    return path


def _printed(plan: Forecast) -> str:
    console = Console(width=80, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    print_plan(plan, console)
    return console.export_text()


def test_a_plan_fits_eighty_columns_and_marks_its_guesses(file: Path, tmp_path: Path) -> None:
    plan = plan_file(file, tmp_path, gpu="rtx 4090", devices=2)
    text = _printed(plan)
    assert max(map(len, text.splitlines())) <= 80
    assert "Plan of small on 2 x NVIDIA GeForce RTX 4090, 21.6 GiB for models on each" in text
    assert "DummyT2I2 -> DummyI2T2" in text
    assert "?: a guess" in text
    assert not (tmp_path / "lake").exists()


def test_all_numbers_come_as_json(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PANIC_DATA", str(tmp_path))
    done = CliRunner().invoke(app, ["plan", str(file), "--memory", "8", "--json"])
    assert done.exit_code == 0, done.output
    content = json.loads(done.output)
    assert content["invocations"] == 2 * 2 * 2 * 10
    assert content["seconds"] == content["loop_seconds"] + content["embedding_seconds"]
    assert {model["name"] for model in content["models"] if model["stage"] == "embeddings"} == {
        "DummyText",
        "DummyVision",
    }


def test_the_embeddings_are_those_of_the_outputs_and_the_prompts(file: Path, tmp_path: Path) -> None:
    plan = plan_file(file, tmp_path, memory_gb=8)
    drawn = sum(model.computed for model in plan.models if "T2I" in model.name)
    told = sum(model.computed for model in plan.models if "I2T" in model.name)
    taken = {model.name: model.computed for model in plan.models if model.stage == "embeddings"}
    assert taken == {"DummyText": told + 2, "DummyVision": drawn}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpu": "RTX 6000", "memory_gb": 8.0}, "give one"),
        ({"gpu": "RTX 4091"}, "did you mean RTX 4090"),
        ({"memory_gb": 0.0}, "--memory 0 is not possible"),
        ({"devices": 0}, "--devices 0 is not possible"),
    ],
)
def test_what_can_not_be_planned_is_told(
    file: Path, tmp_path: Path, options: dict[str, float | str], message: str
) -> None:
    with pytest.raises(PanicError, match=message):
        plan_file(file, tmp_path, **options)  # type: ignore[arg-type]


def test_a_model_that_does_not_fit_is_named(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(ASKED.replace("DummyT2I,", "FluxDev,"))
    plan = plan_file(file, tmp_path, gpu="T4")
    assert any(sentence.startswith("FluxDev takes 33 GiB") for sentence in plan.assumptions)


def test_planning_loads_no_torch(file: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from panic_assets.reports.plan import plan_file, print_plan\n"
        f"print_plan(plan_file(Path({str(file)!r}), Path({str(tmp_path)!r})))\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (4.75, "4.8 s"), (59.9, "60 s"), (90, "1 min 30 s"), (3599.9, "60 min 0 s"), (90000, "1 d 1 h")],
)
def test_times_are_told_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text

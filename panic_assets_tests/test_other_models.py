"""The demo with other models, by editing its file alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from panic_assets.cli import app
from panic_assets.lake import Lake
from panic_assets.paths import project_dir
from panic_assets_tests.models import tiny


def test_the_demo_runs_on_flux_and_florence_by_editing_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights of the real classes: what they draw and say means nothing, but all stages must bear it."""
    flux = tiny.build("FluxPipeline", tmp_path / "flux")
    florence = tiny.build("Florence2ForConditionalGeneration", tmp_path / "florence")
    asked = yaml.safe_load((project_dir() / "data" / "experiments" / "demo.yaml").read_text())
    others = {"TinyScenes": "FluxSchnell", "TinyScenesFast": "FluxDev"}
    asked["networks"] = [[others.get(name, "Florence2") for name in network] for network in asked["networks"][:2]]
    asked |= {"prompts": asked["prompts"][1:3], "seeds": asked["seeds"][-3:], "max_length": 6}
    small = {"height": 32, "width": 32, "num_inference_steps": 1, "max_sequence_length": 16}
    asked["models"] = {
        name: {
            "source": {"kind": "folder", "path": str(flux)},
            "revision": None,
            "dtype": "float32",
            "parameters": small,
        }
        for name in ("FluxSchnell", "FluxDev")
    } | {
        "Florence2": {
            "source": {"kind": "folder", "path": str(florence)},
            "revision": None,
            "dtype": "float32",
            "parameters": {"max_new_tokens": 6},
        }
    }
    file = tmp_path / "swapped.yaml"
    file.write_text(yaml.safe_dump(asked, sort_keys=False))
    data = tmp_path / "data"
    for name, place in {
        "PANIC_DATA": data,
        "PANIC_DAGSTER_STATE": data / ".dagster",
        "DAGSTER_HOME": project_dir(),
    }.items():
        monkeypatch.setenv(name, str(place))
    done = CliRunner().invoke(app, ["run", str(file)])
    assert done.exit_code == 0, done.output
    lake = Lake(data / "lake")
    rows = lake.read("invocations", "swapped").to_pylist()
    assert {row["model"] for row in rows} == {"FluxSchnell", "FluxDev", "Florence2"}
    outcomes = lake.read("outcomes", "swapped").to_pylist()
    assert len(outcomes) == 2 * 2 * 3
    assert {row["stop_reason"] for row in outcomes} <= {"length", "cycle"}
    assert {row["width"] for row in lake.read("images", "swapped").to_pylist()} == {32}
    for table in ("embeddings", "persistence_diagrams"):
        assert lake.read(table, "swapped").num_rows > 0

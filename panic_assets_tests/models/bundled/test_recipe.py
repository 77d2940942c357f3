"""The whole recipe in small: it ends in checkpoints that the adapters load, and goes on where it was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from panic_assets.models.adapters import load_model
from panic_assets.models.bundled import recipe
from panic_assets.models.registry import load_registry


def test_the_recipe_ends_in_models_that_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "TRAINING_SCENES", 200)
    monkeypatch.setattr(recipe, "HELD_OUT_SCENES", 24)
    few = {name: replace(schedule, steps=2, warmup=1) for name, schedule in recipe.SCHEDULES.items()}
    monkeypatch.setattr(recipe, "SCHEDULES", few)
    recipe.cook(tmp_path / "models", tmp_path / "work", seed=5)
    results = json.loads((tmp_path / "models" / "evaluation.json").read_text())
    assert results["captioner"]["held_out_scenes"] == 24
    assert 0 <= results["TinyScenes"]["all"] <= 1
    registry = load_registry()
    for name, folder in {"TinyScenes": "tiny-scenes", "TinyCaption": "tiny-captioner", "TinyCLIP": "tiny-clip"}.items():
        path = tmp_path / "models" / folder
        assert "## Evaluation" in (path / "README.md").read_text()
        entry = registry[name].with_overrides({"source": {"kind": "folder", "path": str(path)}})
        model = load_model(entry, "cpu")
        if entry.kind == "embedder":
            assert model.embed(["a small red circle on a black background"], "text").shape == (1, 64)
        elif entry.takes == {"text"}:
            picture = model.invoke(["a small red circle on a black background"], [1])[0].value
            assert np.asarray(picture).shape == (64, 64, 3)
        else:
            assert isinstance(model.invoke([np.zeros((64, 64, 3), np.uint8)], [1])[0].value, str)

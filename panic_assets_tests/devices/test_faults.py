from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.models.adapters import load_model
from panic_assets.models.adapters.dummies import picture_digest
from panic_assets.models.adapters.faults import VARIABLE, OutOfMemoryError
from panic_assets.models.errors import ModelCallError, ModelError, ModelLoadError
from panic_assets.models.registry import load_registry
from panic_assets_tests.drills import Drill

REGISTRY = load_registry()


@pytest.fixture
def drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drill:
    return Drill(tmp_path, monkeypatch)


def invoke(name: str, *inputs: Any) -> list[Any]:
    return load_model(REGISTRY[name]).invoke(inputs, [0] * len(inputs))


def test_faults_change_neither_identity_nor_other_models(drill: Drill) -> None:
    before, calm = REGISTRY["DummyT2T"].identity, invoke("DummyI2T", np.zeros((8, 8, 3), np.uint8))
    drill.order(DummyT2T={"kind": "transient"})
    assert load_registry()["DummyT2T"].identity == before
    assert invoke("DummyI2T", np.zeros((8, 8, 3), np.uint8)) == calm
    with pytest.raises(RuntimeError, match="transient"):
        invoke("DummyT2T", "a")


def test_out_of_memory_depends_on_the_batch(drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "out_of_memory", "at_batch": 3})
    assert len(invoke("DummyT2T", "a", "b")) == 2
    with pytest.raises(OutOfMemoryError, match="out of memory"):
        invoke("DummyT2T", "a", "b", "c")


def test_a_fault_strikes_so_often(drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "transient", "times": 2})
    for _ in range(2):
        with pytest.raises(RuntimeError):
            invoke("DummyT2T", "a")
    assert invoke("DummyT2T", "a")
    assert drill.struck("DummyT2T") == 3


def test_a_fault_strikes_what_it_names(drill: Drill) -> None:
    picture, other = np.zeros((8, 8, 3), np.uint8), np.ones((8, 8, 3), np.uint8)
    drill.order(
        DummyT2T={"kind": "transient", "on": "cat"},
        DummyI2T={"kind": "transient", "on": picture_digest(picture).hex()},
    )
    assert invoke("DummyT2T", "a dog")
    assert invoke("DummyI2T", other)
    for name, items in (("DummyT2T", ("a dog", "a cat")), ("DummyI2T", (other, picture))):
        with pytest.raises(RuntimeError, match="transient"):
            invoke(name, *items)


def test_several_faults_of_a_model(drill: Drill) -> None:
    drill.order(DummyT2T=[{"kind": "transient", "times": 1}, {"kind": "out_of_memory", "times": 1}])
    for kind in (RuntimeError, OutOfMemoryError):
        with pytest.raises(kind):
            invoke("DummyT2T", "a")
    assert invoke("DummyT2T", "a")


def test_values_that_are_not_finite(drill: Drill) -> None:
    calm = invoke("DummyT2I", "a dog", "a cat")
    drill.order(**{name: {"kind": "non_finite", "on": "cat", "times": 1} for name in ("DummyT2I", "DummyText")})
    dog, cat = invoke("DummyT2I", "a dog", "a cat")
    assert np.array_equal(dog.value, calm[0].value)
    assert dog.flags == frozenset()
    assert cat.flags == {"non_finite"}
    assert cat.value.shape == calm[1].value.shape
    assert not cat.value.any()
    vectors = load_model(REGISTRY["DummyText"]).embed(["a dog", "a cat"], "text")
    assert np.isfinite(vectors).all(axis=1).tolist() == [True, False]
    assert np.array_equal(invoke("DummyT2I", "a cat")[0].value, calm[1].value)


def test_a_text_is_always_finite(drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "non_finite"})
    with pytest.raises(ModelCallError, match="choose another kind"):
        invoke("DummyT2T", "a")


def test_loading_that_fails(drill: Drill) -> None:
    drill.order(DummyT2T={"kind": "load_error", "times": 1})
    with pytest.raises(ModelLoadError, match=VARIABLE):
        invoke("DummyT2T", "a")
    assert invoke("DummyT2T", "a")


@pytest.mark.parametrize("text", ["{", '{"DummyT2T": {"kind": "flood"}}', '{"DummyT2T": {"kind": "die", "often": 1}}'])
def test_a_file_that_is_none(drill: Drill, text: str) -> None:
    drill.file.write_text(text)
    with pytest.raises(ModelError, match=r"faults\.json is no file of faults; mend it"):
        invoke("DummyT2T", "a")


def test_processes_count_together(drill: Drill) -> None:
    """Of many calls in several processes at once, exactly so many are struck as asked for."""
    drill.order(DummyT2T={"kind": "transient", "times": 25})
    script = """
from panic_assets.models.adapters import load_model
from panic_assets.models.registry import load_registry
model, struck = load_model(load_registry()["DummyT2T"]), 0
for _ in range(20):
    try:
        model.invoke(["a"], [0])
    except RuntimeError:
        struck += 1
print(struck)
"""
    running = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sum(int(process.communicate()[0]) for process in running) == 25
    assert drill.struck("DummyT2T") == 60

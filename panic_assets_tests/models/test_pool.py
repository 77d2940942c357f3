from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from panic_assets.models.entry import ModelEntry
from panic_assets.models.errors import ModelError, ModelLoadError
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import Registry
from panic_assets_tests.models import tiny


def sized(entry: ModelEntry, memory_gb: float, dtype: str = "float32") -> ModelEntry:
    return entry.with_overrides({"memory_gb": memory_gb, "dtype": dtype})


def test_models_stay_warm(registry: Registry) -> None:
    with ModelPool() as pool:
        assert pool.get(registry["DummyT2I"]) is pool.get(registry["DummyT2I"])
        assert pool.loads == 1
        pool.get(registry["DummyText"])
        assert pool.loads == 2


def test_entries_that_differ_in_call_parameters_share_weights(registry: Registry) -> None:
    with ModelPool() as pool:
        one = pool.get(registry["DummyT2I"])
        other = pool.get(registry["DummyT2I"].with_overrides({"parameters": {"side": 8}}))
        assert pool.loads == 1
        assert np.asarray(other.invoke(["a"], [1])[0].value).shape == (8, 8, 3)
        assert np.asarray(one.invoke(["a"], [1])[0].value).shape == (256, 256, 3)


def test_the_least_recently_used_goes_first(registry: Registry) -> None:
    # Other dtypes make other weights of a dummy.
    first, second, third = (sized(registry["DummyT2I"], 4, d) for d in ("float32", "float16", "bfloat16"))
    pool = ModelPool(capacity_gb=8)
    pool.get(first)
    pool.get(second)
    pool.get(first)
    pool.get(third)
    assert (pool.loads, pool.evictions, pool.memory_gb) == (3, 1, 8)
    pool.get(first)
    assert pool.loads == 3
    pool.get(second)
    assert (pool.loads, pool.evictions) == (4, 2)


def test_a_model_larger_than_the_capacity_is_loaded_alone(registry: Registry) -> None:
    pool = ModelPool(capacity_gb=8)
    pool.get(sized(registry["DummyT2I"], 4))
    pool.get(sized(registry["DummyText"], 40))
    assert pool.memory_gb == 40


def test_a_load_that_fails_leaves_the_pool_usable(registry: Registry, tmp_path: Path) -> None:
    pool = ModelPool("cpu")
    missing = {"source": {"kind": "folder", "path": str(tmp_path / "none")}}
    for _ in range(2):
        with pytest.raises(ModelLoadError):
            pool.get(registry["TinyScenes"].with_overrides(missing))
    pool.get(registry["DummyT2I"])
    assert pool.loads == 1


def test_a_closed_pool(registry: Registry) -> None:
    pool = ModelPool()
    pool.get(registry["DummyT2I"])
    pool.close()
    pool.close()
    assert pool.memory_gb == 0
    with pytest.raises(ModelError, match="the model pool is closed"):
        pool.get(registry["DummyT2I"])


def test_threads_share_one_load_and_one_set_of_weights(registry: Registry, checkpoint: Callable[[str], Path]) -> None:
    slow = tiny.entry(registry["SD15"], checkpoint("StableDiffusionPipeline"))
    fast = slow.with_overrides({"parameters": {"num_inference_steps": 3}})
    with ModelPool("cpu") as pool:

        def draw(entry: ModelEntry) -> bytes:
            return np.asarray(pool.get(entry).invoke(["a red cat"], [1])[0].value).tobytes()

        alone = {entry.identity: draw(entry) for entry in (slow, fast)}
        work = [slow, fast] * 6
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(draw, work))
        assert pool.loads == 1
    assert together == [alone[entry.identity] for entry in work]
    assert len(set(alone.values())) == 2

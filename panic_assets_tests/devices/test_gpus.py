"""The table of GPUs, and asking the driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets.devices.gpus import find_gpu, gpus_here, known_gpus
from panic_assets.errors import PanicError


@pytest.mark.parametrize("name", ["RTX 4090", "rtx4090", "NVIDIA GeForce RTX 4090", "geforce-rtx-4090"])
def test_a_gpu_is_found_by_any_spelling(name: str) -> None:
    assert find_gpu(name).memory_gb == 24


def test_every_listed_gpu_has_memory_and_source_and_is_found_by_both_names() -> None:
    for gpu in known_gpus().values():
        assert gpu.memory_gb > 0
        assert gpu.source
        assert find_gpu(gpu.name) == find_gpu(gpu.product) == gpu


def test_an_unknown_gpu_is_told_with_near_names() -> None:
    with pytest.raises(PanicError, match="did you mean H100"):
        find_gpu("H101")


def test_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA RTX 6000 Ada Generation, 49140'\necho 'NVIDIA L4, [N/A]'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [(gpu.product, round(gpu.memory_gb, 1)) for gpu in gpus_here()] == [("NVIDIA RTX 6000 Ada Generation", 48.0)]
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert gpus_here() == []

"""Doing harm to checkpoints: changed, lost and pickled weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def change(folder: Path, change_one: Callable[[str, torch.Tensor], torch.Tensor]) -> None:
    """Apply a function to all tensors of the one safetensors file in a folder."""
    [file] = folder.glob("*.safetensors")
    changed = {name: change_one(name, tensor).contiguous() for name, tensor in load_file(file).items()}
    save_file(changed, file, metadata={"format": "pt"})


def lose(folder: Path, part: str = "") -> str:
    """Remove one weight matrix whose name has ``part`` in it; returns its name."""
    [file] = folder.glob("*.safetensors")
    tensors = load_file(file)
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 2 and "embed" not in name and part in name)
    del tensors[name]
    save_file(tensors, file, metadata={"format": "pt"})
    return name


def pickle(folder: Path, name: str) -> None:
    """Turn the safetensors file into a pickle of that name."""
    [file] = folder.glob("*.safetensors")
    torch.save(load_file(file), folder / name)
    file.unlink()

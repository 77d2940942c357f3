"""Tiny models with code of their own, in the shapes of real ones: each says, in a marker file, that it was imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

_HEAD = """
import json, os, signal, sys
import numpy as np
import torch
from huggingface_hub import snapshot_download
from transformers import PretrainedConfig, PreTrainedModel

try:
    other = snapshot_download("someone/other", local_files_only=True)
except Exception as error:
    other = type(error).__name__
with open({marker!r}, "w") as marker:
    told = {{"pid": os.getpid(), "environment": dict(os.environ), "path": sys.path, "other": other}}
    json.dump(told, marker)

class TinyConfig(PretrainedConfig):
    model_type = "tiny_plugin"

def features(picture):
    return torch.tensor([float(np.asarray(picture)[..., c].mean()) / 255 for c in range(3)] + [1.0])

class Tiny(PreTrainedModel):
    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(4, 16, bias=False)
        self.post_init()
"""

_CAPTIONER = """
    def caption(self, image, length="normal", settings=None):
        picture = np.asarray(image)
        if picture.max() == 0:
            raise ValueError("nothing to see")
        if picture.min() == 255:
            print("blinded", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        score = self.layer(features(image)).sum().item()
        return {"caption": f"{length} {picture.shape} {score:.4f} {torch.rand(1).item():.6f}"}
"""

_DUAL = """
    def encode_text(self, sentences, truncate_dim=None, task=None):
        counts = torch.tensor([float(sentences.count(letter)) for letter in "abc"] + [1.0])
        return self.layer(counts)[:truncate_dim].detach().numpy()

    def encode_image(self, images, truncate_dim=None):
        return self.layer(torch.stack([features(image) for image in images]))[:, :truncate_dim].detach().numpy()
"""


def weights() -> torch.Tensor:
    """Of the one layer, (16, 4)."""
    return torch.randn(16, 4, generator=torch.Generator().manual_seed(0))


def captioner(folder: Path, marker: Path) -> Path:
    """Called as Moondream is."""
    return _write(folder, marker, _CAPTIONER, "AutoModelForCausalLM")


def dual(folder: Path, marker: Path, code: tuple[str, Path] | None = None) -> Path:
    """Called as jina-clip is; its code may lie in another repository, given by name and folder."""
    return _write(folder, marker, _DUAL, "AutoModel", code)


def _write(folder: Path, marker: Path, methods: str, auto: str, code: tuple[str, Path] | None = None) -> Path:
    folder.mkdir(parents=True)
    prefix, place = ("", folder) if code is None else (f"{code[0]}--", code[1])
    place.mkdir(parents=True, exist_ok=True)
    (place / "modeling_tiny.py").write_text(_HEAD.format(marker=str(marker)) + methods)
    references = {"AutoConfig": f"{prefix}modeling_tiny.TinyConfig", auto: f"{prefix}modeling_tiny.Tiny"}
    config: dict[str, Any] = {"model_type": "tiny_plugin", "architectures": ["Tiny"], "auto_map": references}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"layer.weight": weights()}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder

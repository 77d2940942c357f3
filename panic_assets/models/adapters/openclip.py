"""Pictures and texts to vectors through open_clip.

Here belongs its own way of loading and calling. Which models there are is registry data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from panic_assets.models.adapters import weights
from panic_assets.models.adapters.common import LoadedModel, in_fixed_batches
from panic_assets.models.base import Device
from panic_assets.models.entry import Medium, ModelEntry

_PRECISION = {torch.float32: "fp32", torch.bfloat16: "pure_bf16", torch.float16: "pure_fp16"}
_NEEDED = ("open_clip_config.json", "open_clip_model.safetensors")


class OpenClipEncoder(LoadedModel):
    """A dual encoder of open_clip; its tokenizers pad all texts to one length."""

    def __init__(self, entry: ModelEntry, model: Any, transform: Any, tokenizer: Any, place: torch.device) -> None:
        super().__init__(entry)
        self._model, self._transform, self._tokenizer, self._place = model, transform, tokenizer, place
        self._dtype = next(model.parameters()).dtype

    def truncated(self, items: Sequence[str]) -> list[bool]:
        """For each text whether the model reads only its beginning."""
        limit = int(self._tokenizer.context_length)
        wrapped = getattr(self._tokenizer, "tokenizer", None)  # the tokenizer of transformers inside, if there is one
        if wrapped is not None:
            return weights.cut_off(wrapped, list(items), limit) if items else []
        return [len(self._tokenizer.encode(text)) + 2 > limit for text in items]  # 2: beginning and end

    def _embed(self, items: Sequence[Any], modality: Medium) -> np.ndarray:
        return in_fixed_batches(items, self.batch, self._texts if modality == "text" else self._pictures)

    def _texts(self, texts: Sequence[str]) -> np.ndarray:
        with torch.inference_mode():
            return weights.to_float32(self._model.encode_text(self._tokenizer(list(texts)).to(self._place)))

    def _pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        images = [Image.fromarray(np.ascontiguousarray(picture)) for picture in pictures]
        stacked = torch.stack([self._transform(image) for image in images]).to(self._place, self._dtype)
        with torch.inference_mode():
            return weights.to_float32(self._model.encode_image(stacked))


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """Load an open_clip model; the library itself refuses files that lack weights.

    Raises:
        ModelLoadError: see :func:`panic_assets.models.adapters.load_model`.
    """
    place = weights.choose_device(device)
    folder = weights.locate(entry)
    _require_files(entry, folder)
    with weights.loading(entry):
        model, _, transform = open_clip.create_model_and_transforms(
            f"local-dir:{folder}",
            precision=_PRECISION[weights.choose_dtype(entry, place)],
            device=place,
            weights_only=True,
        )
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        return OpenClipEncoder(entry, model.eval(), transform, tokenizer, place)


def _require_files(entry: ModelEntry, folder: Path) -> None:
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise weights.problem(entry, f"it has no {' and no '.join(missing)}", "Give a folder that open_clip saved.")

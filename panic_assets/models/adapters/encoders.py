"""Pictures and texts to vectors through transformers: CLIP, SigLIP and their kin, DINO and other vision models.

Here belongs which output of the model is the vector: the projected features of a dual encoder, the pooled output of a
vision model. Which models there are is registry data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from panic_assets.models.adapters import weights
from panic_assets.models.adapters.common import LoadedModel, in_fixed_batches
from panic_assets.models.base import Device
from panic_assets.models.entry import Medium, ModelEntry


class Encoder(LoadedModel):
    """A dual encoder or a vision model.

    Text is always padded to the same length: SigLIP was trained so and gives other vectors otherwise, and for the
    others it keeps a vector independent of its companions.
    """

    def __init__(self, entry: ModelEntry, model: Any, tokenizer: Any, image_processor: Any) -> None:
        super().__init__(entry)
        self._model = model
        self._tokenizer = tokenizer
        self._image_processor = image_processor
        self._prepare()

    def _prepare(self) -> None:
        if "text" in self.entry.takes:
            positions = int(self._model.config.text_config.max_position_embeddings)
            self._limit = min(positions, self.entry.max_text_tokens or positions)

    def truncated(self, items: Sequence[str]) -> list[bool]:
        """For each text whether the model reads only its beginning."""
        return weights.cut_off(self._tokenizer, list(items), self._limit) if items else []

    def _embed(self, items: Sequence[Any], modality: Medium) -> np.ndarray:
        return in_fixed_batches(items, self.batch, self._texts if modality == "text" else self._pictures)

    def _texts(self, texts: Sequence[str]) -> np.ndarray:
        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._limit, return_tensors="pt"
        )
        with torch.inference_mode():
            return _vectors(self._model.get_text_features(**tokens.to(self._model.device)))

    def _pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        images = [Image.fromarray(np.ascontiguousarray(picture)) for picture in pictures]
        inputs = self._image_processor(images=images, return_tensors="pt")
        inputs = inputs.to(self._model.device, dtype=self._model.dtype)
        with torch.inference_mode():
            features = getattr(self._model, "get_image_features", self._model)
            return _vectors(features(**inputs))


def _vectors(output: Any) -> np.ndarray:
    """An output object in transformers 5, where earlier versions gave the features alone."""
    return weights.to_float32(output if isinstance(output, torch.Tensor) else output.pooler_output)


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """Load an encoder with the processors of its media.

    Raises:
        ModelLoadError: see :func:`panic_assets.models.adapters.load_model`.
    """
    place = weights.choose_device(device)
    folder = weights.locate(entry)
    with weights.loading(entry):
        dtype = weights.choose_dtype(entry, place)
        model = weights.load_whole(entry, AutoModel, folder, dtype=dtype, trust_remote_code=False)
        if "text" in entry.takes and not hasattr(model, "get_text_features"):
            raise weights.problem(entry, f"{type(model).__name__} takes no text", "Correct inputs: [image].")
        if "image" in entry.takes:
            image_processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        else:
            image_processor = None
        if "text" in entry.takes:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        else:
            tokenizer = None
        return Encoder(entry, model.eval().to(place), tokenizer, image_processor)

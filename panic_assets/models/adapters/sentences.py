"""Texts to vectors through sentence-transformers.

Here belongs how texts are put to such a model so that a vector depends on its text alone. Prefixes, dimensions and
which models there are is registry data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from panic_assets.models.adapters import weights
from panic_assets.models.adapters.common import LoadedModel, in_fixed_batches
from panic_assets.models.base import Device
from panic_assets.models.entry import Medium, ModelEntry
from panic_assets.models.parameters import TextEmbeddingLoad, TextEmbeddingParameters

_SHORTEST = 16


class SentenceEmbedder(LoadedModel):
    """A text embedder. Texts are padded to the next power of two of tokens, in batches of one size.

    The library pads to the longest text of a batch, so that bits would depend on companions.
    """

    def __init__(self, entry: ModelEntry, model: SentenceTransformer) -> None:
        super().__init__(entry)
        self._model = model
        self._tokenizer = model.tokenizer
        self._prepare()

    def _prepare(self) -> None:
        self._parameters = TextEmbeddingParameters.model_validate(self.entry.parameters)
        own = self._model.max_seq_length or self._tokenizer.model_max_length
        self._limit = int(min(own, self.entry.max_text_tokens or own, 2**31))
        native = int(self._model.get_embedding_dimension() or 0)
        if self.dimension != (self._parameters.truncate_dim or native) or self.dimension > native:
            what = f"its vectors have dimension {native}, the entry says {self.dimension}"
            raise weights.problem(self.entry, what, "Correct dimension, or set parameters.truncate_dim to part of it.")

    def truncated(self, items: Sequence[str]) -> list[bool]:
        """For each text whether the model reads only its beginning; the prefix counts."""
        return weights.cut_off(self._tokenizer, self._prefixed(items), self._limit) if items else []

    def _embed(self, items: Sequence[Any], modality: Medium) -> np.ndarray:
        texts = self._prefixed(items)
        tokens = self._tokenizer(texts, truncation=True, max_length=self._limit)["input_ids"]
        lengths = np.array([self._padded(len(row)) for row in tokens])
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            compute = partial(self._compute, length=int(length))
            vectors[rows] = in_fixed_batches([texts[row] for row in rows], self.batch, compute)
        return vectors

    def _compute(self, texts: Sequence[str], length: int) -> np.ndarray:
        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        with torch.inference_mode():
            features = self._model({name: tensor.to(self._model.device) for name, tensor in tokens.items()})
        return weights.to_float32(features["sentence_embedding"])[:, : self.dimension]

    def _prefixed(self, items: Sequence[Any]) -> list[str]:
        return [self._parameters.prefix + str(text) for text in items]

    def _padded(self, tokens: int) -> int:
        return min(self._limit, max(_SHORTEST, 1 << (tokens - 1).bit_length()))


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """Load a sentence-transformers model.

    Raises:
        ModelLoadError: see :func:`panic_assets.models.adapters.load_model`.
    """
    place = weights.choose_device(device)
    folder = weights.locate(entry)
    with weights.loading(entry):
        dtype = weights.choose_dtype(entry, place)
        # The library keeps lost weights to itself, so the names are compared once more, without reading the numbers.
        # It pools the hidden states itself; many files lack the transformer's own pooler.
        transformer = _first_module(folder)
        check: dict[str, Any] = {"dtype": dtype, "device_map": "meta", "trust_remote_code": False}
        weights.load_whole(entry, AutoModel, transformer, unused="pooler.", **check)
        options = TextEmbeddingLoad.model_validate(entry.load)
        model = SentenceTransformer(
            str(folder),
            device=str(place) if options.backend == "torch" else "cpu",
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": dtype},
        )
        if options.backend == "onnx":
            _compute_by_onnx(entry, model, options, place)
        return SentenceEmbedder(entry, model.eval())


def _compute_by_onnx(entry: ModelEntry, model: Any, options: TextEmbeddingLoad, place: torch.device) -> None:
    """Put ONNX Runtime in the place of the torch transformer; pooling and what follows stay as they are."""
    try:
        from panic_assets.models.adapters import onnx_graph
    except ImportError as error:
        raise weights.problem(entry, f"a library is not installed ({error})", "Install panic-assets[onnx].") from error
    onnx_graph.refuse_other_dtypes(entry, weights.choose_dtype(entry, place))
    model[0].model = onnx_graph.exported(entry, model[0].model, model.tokenizer.model_input_names, options, place)


def _first_module(folder: Path) -> Path:
    """The folder of the transformer itself: the first entry of modules.json, or the whole folder."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return folder
    return folder / str(json.loads(modules.read_text(encoding="utf-8"))[0]["path"])

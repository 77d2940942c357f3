"""A text transformer computed by ONNX Runtime in torch's stead.

Here belong the export of a loaded transformer to an ONNX graph and the module that runs it. Tokens, pooling and all
that follows stay with the library that loaded it. The graph is made anew at each load, by torch's own exporter: the
usual way there, the package optimum-onnx, wants a transformers before version 5.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from panic_assets.models.adapters import weights
from panic_assets.models.entry import ModelEntry
from panic_assets.models.parameters import TextEmbeddingLoad

TOLERANCE = 1e-4
"""The most by which a hidden state may differ from torch's, as part of the largest there is."""

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUT = "last_hidden_state"


class OnnxTransformer(torch.nn.Module):
    """Stands where the torch transformer stood: the same inputs, and its last hidden states."""

    def __init__(self, config: Any, session: onnxruntime.InferenceSession) -> None:
        super().__init__()
        self.config = config
        self.device = torch.device("cpu")  # what goes in and comes out is there; the session copies to its device
        self._session = session
        self._wanted = {field.name for field in session.get_inputs()}

    def forward(self, **given: Any) -> dict[str, torch.Tensor]:
        """Hidden states (rows, tokens, width) as float32 for token numbers and masks (rows, tokens)."""
        fed = {name: given[name].cpu().numpy() for name in self._wanted}
        [hidden] = self._session.run([_OUTPUT], fed)
        return {_OUTPUT: torch.from_numpy(hidden)}


class _HiddenStates(torch.nn.Module):
    """What is exported: a transformer with inputs by place and a single output."""

    def __init__(self, transformer: torch.nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.transformer, self.names = transformer, names

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        arguments = dict(zip(self.names, tensors, strict=True))
        hidden: torch.Tensor = self.transformer(**arguments).last_hidden_state
        return hidden


def exported(
    entry: ModelEntry, transformer: Any, names: list[str], options: TextEmbeddingLoad, place: torch.device
) -> OnnxTransformer:
    """The same transformer in ONNX Runtime.

    Args:
        entry: for errors.
        transformer: of transformers, on the CPU, as float32.
        names: what the tokenizer gives it.
        options: which provider computes.
        place: the device that was asked for.

    Raises:
        ModelLoadError: the provider is not there, or the graph does not compute what torch does.
        Exception: whatever torch's exporter raises for a transformer that it can't take apart.
    """
    provider, settings = _provider(entry, options, place)
    asked = tuple(name for name in _INPUTS if name in names)
    transformer.config.use_cache = False
    with tempfile.TemporaryDirectory(prefix="panic-onnx-") as folder, torch.inference_mode():
        file = Path(folder) / "model.onnx"
        shape = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        torch.onnx.export(
            _HiddenStates(transformer, asked).eval(),
            _example(transformer.config, asked, 3, 24),
            str(file),
            dynamo=True,  # the older exporter drops the mask of padding
            dynamic_shapes=((shape,) * len(asked),),
            input_names=list(asked),
            output_names=[_OUTPUT],
            external_data=True,  # one file can't hold more than 2 GiB
            verbose=False,
        )
        session = onnxruntime.InferenceSession(str(file), _session_options(), [(provider, settings)])
    made = OnnxTransformer(transformer.config, session)
    compare(entry, transformer, made, asked)
    return made


def compare(entry: ModelEntry, transformer: Any, made: OnnxTransformer, names: tuple[str, ...]) -> None:
    """Raise unless the exported graph agrees with torch on a shape that it was not exported with, padding included.

    Raises:
        ModelLoadError: a hidden state of what is not padding differs by more than ``TOLERANCE``, or is not finite.
    """
    tensors = _example(made.config, names, 5, 40)
    fed = dict(zip(names, tensors, strict=True))
    with torch.inference_mode():
        expected = weights.to_float32(_HiddenStates(transformer, names).eval()(*tensors))
    given = made(**fed)[_OUTPUT].numpy()
    read = fed["attention_mask"].numpy().astype(bool)  # what stands at padding is never used
    apart = float(np.abs(given - expected)[read].max() / np.abs(expected[read]).max())
    if not apart <= TOLERANCE:
        what = f"the exported graph differs from torch by {apart:.2g} of the largest value, more than {TOLERANCE:g}"
        raise weights.problem(entry, what, "Use load: {backend: torch}.")


def _example(config: Any, names: tuple[str, ...], rows: int, tokens: int) -> tuple[torch.Tensor, ...]:
    """Token numbers without meaning; the last rows end in padding."""
    ids = torch.arange(rows * tokens).reshape(rows, tokens) % (config.vocab_size - 1) + 1
    mask = torch.ones_like(ids)
    for row in range(1, rows):
        mask[row, tokens - 3 * row :] = 0
    made = {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return tuple(made[name] for name in names)


def _provider(entry: ModelEntry, options: TextEmbeddingLoad, place: torch.device) -> tuple[str, dict[str, str]]:
    provider = options.provider or ("CUDAExecutionProvider" if place.type == "cuda" else "CPUExecutionProvider")
    there = onnxruntime.get_available_providers()
    if provider not in there:
        remedy = "Install onnxruntime-gpu in place of onnxruntime, or set load.provider to one that is there."
        raise weights.problem(entry, f"ONNX Runtime has no {provider} here, but {', '.join(there)}", remedy)
    device = {"device_id": str(place.index or 0)} if place.type == "cuda" else {}
    return provider, {**device, **options.provider_options}


def _session_options() -> onnxruntime.SessionOptions:
    settings = onnxruntime.SessionOptions()
    settings.use_deterministic_compute = True
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 3  # errors
    return settings


def refuse_other_dtypes(entry: ModelEntry, dtype: torch.dtype) -> None:
    """Raise unless the entry wants float32, in which the graph computes.

    Raises:
        ModelLoadError: it wants another dtype.
    """
    if dtype != torch.float32:
        what = f"backend onnx computes in float32, dtype is {str(dtype).removeprefix('torch.')}"
        raise weights.problem(entry, what, "Set dtype: float32, or load: {backend: torch}.")

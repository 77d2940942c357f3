"""From trained networks to the shipped files: ONNX with half-size weights, and integers for what must be exact.

Here belong the conversions and the counting of frequencies; training knows nothing of files that ship.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from panic_assets.codec.latent_model import LatentModel
from panic_assets.codec.probability import (
    CLASSES,
    LARGEST_SYMBOL,
    ONE,
    TABLE_TOTAL,
    WEIGHT_ONE,
    IntegerNet,
    Probabilities,
    log_scale,
)
from panic_assets.codec.training.entropy import CLASS_GAIN, START_CLASS, Entropy, Predictor
from panic_assets.codec.training.fit import Codec
from panic_assets.codec.training.transform import CHANNELS, LEVELS, STRIDE

_PRIOR_WEIGHT = 64  # symbols of the assumed shape that are added to those counted in a class


def export(codec: Codec, pictures: Sequence[np.ndarray], folder: Path) -> None:
    """Write ``encoder.onnx``, ``decoder.onnx``, ``transform.npz`` and ``probabilities.npz`` into ``folder``.

    ``pictures``: uint8 (h, w, 3) with sides that are multiples of STRIDE, from the training split: symbols of theirs
    are counted into the frequency tables.
    """
    folder.mkdir(parents=True, exist_ok=True)
    codec = codec.eval()
    _to_onnx(codec, folder)
    gain, back = (table.detach().numpy() for table in codec.gains.tables())
    analysis = codec.analysis.weight.detach().flatten(1).numpy()
    np.savez(folder / "transform.npz", gain=gain, inverse=back, analysis=analysis.astype(np.float16))
    model, path = integer_form(codec.entropy), folder / "probabilities.npz"
    np.savez_compressed(path, **model.arrays())  # type: ignore[arg-type]
    counted = replace(model, frequencies=count_frequencies(folder, pictures))
    np.savez_compressed(path, **counted.arrays())  # type: ignore[arg-type]


def integer_form(entropy: Entropy) -> Probabilities:
    """The networks in whole numbers, with frequencies of the shape that the training assumed."""
    nets = {name: _integer_net(net) for name, net in entropy.nets.items() if isinstance(net, Predictor)}
    top = _rounded(_with_classes(entropy.top, START_CLASS), ONE)
    return Probabilities(nets, top, frequencies(np.zeros((CLASSES, 2 * LARGEST_SYMBOL + 1))))


def frequencies(counts: np.ndarray) -> np.ndarray:
    """Integer frequencies from counts of symbols, (CLASSES, 2 * LARGEST_SYMBOL + 1), each row summing to TABLE_TOTAL.

    A few symbols of a logistic distribution are mixed in, so that what was never counted stays possible.
    """
    edges = np.arange(2 * LARGEST_SYMBOL + 2) - LARGEST_SYMBOL - 0.5
    rows = []
    for number, counted in enumerate(counts):
        scale = np.exp(log_scale(number))
        # Of a symmetric distribution the lower tail, where differences are exact, serves both sides.
        tail = 1 / (1 + np.exp(np.minimum(np.abs(edges) / scale, 700)))
        shape = np.abs(np.diff(tail))
        shape[LARGEST_SYMBOL] = 1 - 2 * tail[LARGEST_SYMBOL]
        share = counted + counted[::-1] + _PRIOR_WEIGHT * shape / shape.sum()
        wanted = share / share.sum() * (TABLE_TOTAL - share.size)
        row = np.floor(wanted).astype(np.int64)
        missing = TABLE_TOTAL - share.size - row.sum()
        row[np.argsort(row - wanted, kind="stable")[:missing]] += 1
        rows.append(row + 1)
    return np.stack(rows)


def count_frequencies(folder: Path, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Frequencies of the symbols that the model in ``folder`` finds in ``pictures``, each at four of the levels."""
    model, width = LatentModel(folder, torch.get_num_threads()), 2 * LARGEST_SYMBOL + 1
    counts = np.zeros(CLASSES * width)
    for number, picture in enumerate(pictures):
        for level in range(number % 4, LEVELS, 4):
            for classes, symbols in model.find(picture[None], level)[0].passes:
                counts += np.bincount((classes * width + symbols + LARGEST_SYMBOL).ravel(), minlength=counts.size)
    return frequencies(counts.reshape(CLASSES, width))


def _integer_net(net: Predictor) -> IntegerNet:
    def whole(values: torch.Tensor, one: int) -> np.ndarray:
        return _rounded(values.detach(), one)

    return IntegerNet(
        first=whole(net.first.weight.T, WEIGHT_ONE),
        first_bias=whole(net.first_bias, ONE * WEIGHT_ONE),
        second=whole(net.second.weight.T, WEIGHT_ONE),
        second_bias=whole(net.second.bias, ONE * WEIGHT_ONE),
        third=whole(_with_gain(net.third.weight.T), WEIGHT_ONE),
        straight=whole(_with_gain(net.straight.weight.T), WEIGHT_ONE),
        last_bias=whole(_with_classes(net.last_bias, net.start_class), ONE * WEIGHT_ONE),
    )


def _with_gain(values: torch.Tensor) -> torch.Tensor:
    """The second half of the columns, which makes classes, in classes."""
    means, classes = values.detach().chunk(2, -1)
    return torch.cat([means, classes * CLASS_GAIN], -1)


def _with_classes(bias: torch.Tensor, start_class: float) -> torch.Tensor:
    means, classes = _with_gain(bias).chunk(2, -1)
    return torch.cat([means, classes + start_class], -1)


def _rounded(values: torch.Tensor, one: int) -> np.ndarray:
    return np.rint(values.double().numpy() * one)


def _to_onnx(codec: Codec, folder: Path) -> None:
    """Both transforms with free batch, height and width."""
    height, width = 5, 7  # sizes that nothing in the networks could mistake for its own
    batch, rows, columns = (torch.export.Dim(name, min=1, max=4096) for name in ("batch", "rows", "columns"))
    picture = torch.zeros(2, 3, STRIDE * height, STRIDE * width)
    latents, quality = torch.zeros(2, CHANNELS, height, width), torch.zeros(2, 1)
    _export_one(
        codec.encoder,
        (picture,),
        {"pictures": {0: batch, 2: STRIDE * rows, 3: STRIDE * columns}},
        ["pictures"],
        ["latents"],
        folder / "encoder.onnx",
    )
    _export_one(
        codec.decoder,
        (latents, quality),
        {"latents": {0: batch, 2: rows, 3: columns}, "quality": {0: batch}},
        ["latents", "quality"],
        ["base_pictures", "pictures"],
        folder / "decoder.onnx",
    )


def _export_one(
    network: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    shapes: dict[str, dict[int, object]],
    inputs: list[str],
    outputs: list[str],
    path: Path,
) -> None:
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            example,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=inputs,
            output_names=outputs,
            verbose=False,
            optimize=True,
        )
    assert program is not None
    onnx.save(_halved(program.model_proto), path)


def _halved(model: Any) -> Any:
    """Weights stored as float16 and cast to float32 where they are used: half the file, the same arithmetic."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 64:
            continue
        name, small = tensor.name, f"{tensor.name}.half"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), small))
        casts.append(helper.make_node("Cast", [small], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model

"""A real model of a few kilobytes, made in no time: cosines for networks, and probabilities that fit them.

It has the shapes, the levels and the files of the shipped one, so that tests of files need neither training nor torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from panic_assets.codec import lattice
from panic_assets.codec.latent_model import STRIDE
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

LEVELS, BASE, DETAIL, HIDDEN = 16, 8, 56, 3
_GAINS = np.geomspace(0.6, 20, LEVELS)


def write(folder: Path, scale: float = 1.0) -> Path:
    """The model's files. Another ``scale`` makes another model."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = _cosines()
    gain = np.repeat(_GAINS[:, None] * scale, BASE + DETAIL, 1).astype(np.float32)
    np.savez(folder / "transform.npz", gain=gain, inverse=1 / gain, analysis=(vectors[BASE:]).astype(np.float16))
    np.savez_compressed(folder / "probabilities.npz", **_probabilities().arrays())
    _save(folder / "encoder.onnx", [("Conv", ["pictures", "base"], "latents")], {"base": vectors[:BASE]}, "encoder")
    _save(
        folder / "decoder.onnx",
        [
            ("Slice", ["latents", "start", "end", "axis"], "first"),
            ("ConvTranspose", ["first", "base"], "base_pictures"),
            ("ConvTranspose", ["latents", "all"], "drawn"),
            ("Mul", ["quality", "nothing"], "unused"),
            ("Unsqueeze", ["unused", "axes"], "wide"),
            ("Add", ["drawn", "wide"], "pictures"),
        ],
        {"base": vectors[:BASE], "all": vectors.astype(np.float16).astype(np.float32)},
        "decoder",
    )
    return folder


def _cosines() -> np.ndarray:
    """The lowest frequencies of 8x8 blocks, luma before colour: (BASE + DETAIL, 3 * 64), orthonormal."""
    place, frequency = np.arange(STRIDE), np.arange(STRIDE)[:, None]
    line = np.cos(np.pi * (2 * place + 1) * frequency / (2 * STRIDE)) * np.where(frequency, np.sqrt(2), 1) / np.sqrt(8)
    order = sorted(np.ndindex(STRIDE, STRIDE), key=lambda f: (sum(f), f))
    blocks = np.stack([np.outer(line[down], line[along]) for down, along in order])
    colours = np.linalg.qr(np.array([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]]).T)[0].T
    kinds = [(number, 0) for number in range(44)] + [(number, colour) for number in range(10) for colour in (1, 2)]
    kinds.sort(key=lambda kind: (kind[0] * (1 + 3 * (kind[1] > 0)), kind[1]))
    return np.stack([np.multiply.outer(colours[c], blocks[n]).ravel() for n, c in kinds]).astype(np.float32)


def _probabilities() -> Probabilities:
    nets = {name: _net(lattice.NEIGHBOURS[name] * (BASE + 1), BASE, mean=True) for name in lattice.BASE_NETS}
    around = lattice.SURROUNDINGS * (BASE + 1)
    for name in lattice.DETAIL_NETS:
        nets[name] = _net(around + lattice.NEIGHBOURS[name] * (DETAIL + 1), DETAIL, mean=False)
    return Probabilities(nets, _classes(BASE, 3.0), _frequencies())


def _net(inputs: int, channels: int, mean: bool) -> IntegerNet:
    straight = np.zeros((inputs, 2 * channels))
    if mean:  # the average of the four nearest positions
        for neighbour in range(4):
            straight[neighbour * channels : (neighbour + 1) * channels, :channels] = np.eye(channels) * WEIGHT_ONE / 4
    return IntegerNet(
        first=np.zeros((inputs, HIDDEN)),
        first_bias=np.zeros((LEVELS, HIDDEN)),
        second=np.zeros((HIDDEN, HIDDEN)),
        second_bias=np.zeros(HIDDEN),
        third=np.zeros((HIDDEN, 2 * channels)),
        straight=straight,
        last_bias=_classes(channels, 1.0 if mean else 0.15) * WEIGHT_ONE,
    )


def _classes(channels: int, spread: float) -> np.ndarray:
    """Means of 0, and the class whose scale is ``spread`` times the gain, (LEVELS, 2 * channels) in 1/ONE."""
    wanted = (np.log(_GAINS * spread) - log_scale(0.0)) / (log_scale(1.0) - log_scale(0.0))
    classes = np.repeat(np.rint(np.clip(wanted, 0, CLASSES - 1) * ONE)[:, None], channels, 1)
    return np.concatenate([np.zeros_like(classes), classes], 1)


def _frequencies() -> np.ndarray:
    distance = np.abs(np.arange(-LARGEST_SYMBOL, LARGEST_SYMBOL + 1))
    rows = []
    for number in range(CLASSES):
        shape = np.exp(-distance / np.exp(log_scale(float(number))))
        row = 1 + np.floor(shape / shape.sum() * (TABLE_TOTAL - 2 * distance.size)).astype(np.int64)
        row[LARGEST_SYMBOL] += TABLE_TOTAL - row.sum()
        rows.append(row)
    return np.stack(rows)


def _save(path: Path, steps: list[tuple[str, list[str], str]], weights: dict[str, np.ndarray], name: str) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    sizes: dict[str, object] = {name: values.reshape(-1, 3, STRIDE, STRIDE) for name, values in weights.items()}
    sizes |= {"start": np.array([0]), "end": np.array([BASE]), "axis": np.array([1]), "axes": np.array([2, 3])}
    sizes["nothing"] = np.zeros((1, 1), np.float32)
    used = {given for _, given_names, _ in steps for given in given_names}
    nodes = [
        helper.make_node(kind, given, [made], **({"strides": [STRIDE, STRIDE]} if kind.startswith("Conv") else {}))
        for kind, given, made in steps
    ]
    made = {made for _, _, made in steps}

    def value(name: str, shape: list[object]) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    channels = {"pictures": 3, "base_pictures": 3, "latents": BASE if name == "encoder" else BASE + DETAIL}
    free = {name: value(name, ["n", count, None, None]) for name, count in channels.items()}
    free["quality"] = value("quality", ["n", 1])
    graph = helper.make_graph(
        nodes,
        name,
        [known for label, known in free.items() if label in used and label not in made],
        [known for label, known in free.items() if label in made],
        [numpy_helper.from_array(values, label) for label, values in sizes.items() if label in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)

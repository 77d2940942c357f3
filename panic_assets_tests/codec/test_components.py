"""Components: what they refuse, and that they stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from panic_assets.codec import components as all_components
from panic_assets.codec.components import (
    RGB,
    YUVW4,
    Band,
    Bitstream,
    BlurRGB,
    Channels,
    Component,
    Latent,
    Latent4,
    QuantParams,
    ReconRGB,
    Residual,
    Symbols,
    WaveletPyramid,
)
from panic_assets.codec.core.arena import Arena, TensorRef

_ARENA = Arena(1 << 16)


def _tensor(shape: tuple[int, ...], dtype: str) -> TensorRef:
    return _ARENA.alloc(shape, dtype)


def _bands() -> tuple[Band, ...]:
    """Those of one 3x5 plane, halved once."""
    return (
        Band(0, 1, "LL", 0, 0, 2, 3),
        Band(0, 1, "LH", 0, 3, 2, 2),
        Band(0, 1, "HL", 2, 0, 1, 3),
        Band(0, 1, "HH", 2, 3, 1, 2),
    )


def test_defect_there_is_one_base_of_all_components() -> None:
    kinds = [kind for kind in vars(all_components).values() if isinstance(kind, type) and issubclass(kind, Component)]
    assert len(kinds) >= 12
    assert [kind for kind in vars(all_components).values() if getattr(kind, "__name__", "") == "Component"] == [
        Component
    ]


@pytest.mark.parametrize("kind", [RGB, ReconRGB])
@pytest.mark.parametrize("dtype", ["float32", "uint16", "int8", "bool"])
def test_defect_a_picture_is_never_of_another_range_than_0_to_255(kind: type[Component], dtype: str) -> None:
    with pytest.raises(ValidationError, match=f"{dtype}; pictures are uint8"):
        kind(pix=_tensor((4, 4, 3), dtype))


@pytest.mark.parametrize("shape", [(4,), (4, 4, 1), (4, 4, 5), (0, 4), (4, 0, 3), (1, 4, 4, 3)])
def test_pictures_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="pictures are uint8"):
        RGB(pix=_tensor(shape, "uint8"))


def test_pictures_know_their_size_and_colour_space() -> None:
    picture = BlurRGB(pix=_tensor((3, 5), "uint8"), sigma=0.5)
    assert (picture.size, picture.colorspace, picture.sigma) == ((3, 5), "sRGB", 0.5)
    with pytest.raises(ValidationError, match="colorspace"):
        RGB(pix=picture.pix, colorspace="whatever")


@pytest.mark.parametrize("sigma", [0, -1, float("inf"), float("nan"), "wide"])
def test_a_blur_has_a_positive_finite_sigma(sigma: object) -> None:
    with pytest.raises(ValidationError, match="sigma"):
        BlurRGB(pix=_tensor((3, 5), "uint8"), sigma=sigma)


def test_components_are_frozen_and_know_no_other_fields() -> None:
    latent = Latent(z=_tensor((4, 2, 2), "float32"))
    with pytest.raises(ValidationError, match="frozen"):
        latent.z = _tensor((4, 2, 2), "float32")
    with pytest.raises(ValidationError, match="Extra inputs"):
        Latent(z=latent.z, y=1)
    with pytest.raises(ValidationError, match="Field required"):
        Latent()


def test_an_array_is_no_reference_into_an_arena() -> None:
    with pytest.raises(ValidationError, match="instance of TensorRef"):
        Latent(z=np.zeros((4, 2, 2), np.float32))


def test_latents_have_any_number_of_channels_and_go_by_two_names() -> None:
    assert (Latent4, YUVW4) == (Latent, Channels)
    for channels in (1, 4, 48):
        assert Latent(z=_tensor((channels, 2, 3), "float16")).z.shape[0] == channels
    for shape, dtype in [((2, 2), "float32"), ((1, 4, 2, 2), "float32"), ((4, 2, 2), "uint8"), ((4, 2, 2), "int64")]:
        with pytest.raises(ValidationError, match="planes are"):
            Channels(t=_tensor(shape, dtype))


def test_bands_cover_the_coefficients() -> None:
    pyramid = WaveletPyramid(coefficients=_tensor((1, 3, 5), "int32"), bands=_bands())
    assert (pyramid.levels, pyramid.wavelet, pyramid.bands[3].kind) == (1, "cdf53", "HH")
    with pytest.raises(ValidationError, match=r"bands cover 15 coefficients of \(1, 4, 5\)"):
        WaveletPyramid(coefficients=_tensor((1, 4, 5), "int32"), bands=_bands())
    with pytest.raises(ValidationError, match="is not inside"):
        WaveletPyramid(coefficients=_tensor((1, 5, 3), "int32"), bands=_bands())
    with pytest.raises(ValidationError, match="is not inside"):
        WaveletPyramid(coefficients=_tensor((1, 3, 5), "int32"), bands=[Band(1, 1, "LL", 0, 0, 3, 5)])
    with pytest.raises(ValidationError, match="wavelet"):
        WaveletPyramid(coefficients=_tensor((1, 3, 5), "int32"), bands=_bands(), wavelet="bior")


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": ()},
        {"steps": (1, 0)},
        {"steps": (1, float("inf"))},
        {"steps": (1,), "dead_zone": 0.4},
        {"steps": (1,), "offset": 0.5},
        {"steps": (1,), "quality": 0},
        {"steps": (1,), "quality": 17},
    ],
)
def test_steps_and_quality_are_in_their_ranges(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QuantParams(**wrong)


def test_symbols_are_signed_and_carry_what_decoding_needs() -> None:
    params = QuantParams(steps=(0.5, 1.0, 1.0, 2.0), quality=7)
    symbols = Symbols(data=_tensor((1, 3, 5), "int8"), params=params, bands=_bands(), wavelet="haar")
    assert (symbols.params.steps[3], symbols.levels) == (2.0, 1)
    with pytest.raises(ValidationError, match="symbols are int8 or int32"):
        Symbols(data=_tensor((1, 3, 5), "uint8"), params=params)
    with pytest.raises(ValidationError, match="bands cover 15 coefficients"):
        Symbols(data=_tensor((1, 3, 6), "int8"), params=params, bands=_bands())
    with pytest.raises(ValidationError, match="only planes"):
        Symbols(data=_tensor((15,), "int8"), params=params, bands=_bands())


def test_a_bitstream_counts_its_symbols() -> None:
    data = _tensor((9,), "uint8")
    assert Bitstream(data=data, n_symbols=15, tables=b"", shape=(1, 3, 5)).n_symbols == 15
    with pytest.raises(ValidationError, match="n_symbols 14 are not those of shape"):
        Bitstream(data=data, n_symbols=14, tables=b"", shape=(1, 3, 5))
    with pytest.raises(ValidationError, match="n_symbols"):
        Bitstream(data=data, n_symbols=-1, tables=b"")
    with pytest.raises(ValidationError, match="of_bands has 3 tables for 4 bands"):
        Bitstream(data=data, n_symbols=15, tables=b"", shape=(1, 3, 5), bands=_bands(), of_bands=(0, 0, 1))
    with pytest.raises(ValidationError, match="only planes"):
        Bitstream(data=data, n_symbols=15, tables=b"", bands=_bands())
    with pytest.raises(ValidationError, match="bytes are uint8"):
        Bitstream(data=_tensor((9,), "uint32"), n_symbols=9, tables=b"")


def test_a_residual_has_a_unit_of_at_least_one() -> None:
    assert Residual(tensor=_tensor((2, 2), "int16")).scale == 1
    with pytest.raises(ValidationError, match="scale"):
        Residual(tensor=_tensor((2, 2), "int16"), scale=0.5)
    with pytest.raises(ValidationError, match="differences are int16"):
        Residual(tensor=_tensor((2, 2), "float32"))

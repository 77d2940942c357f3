"""Rate-distortion curves: what the figure holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.plots import rd_plot

_OURS = [(0.4, 36.0), (0.1, 30.0), (0.2, 33.0)]
_AVIF = [(0.2, 30.0), (0.4, 33.0), (0.8, 36.0)]


def test_each_codec_is_a_line_by_rising_rate(tmp_path: Path) -> None:
    figure = rd_plot({"ours": _OURS, "avif": _AVIF}, quality="MS-SSIM")
    axes = figure.axes[0]
    assert [line.get_label() for line in axes.lines] == ["ours", "avif"]
    assert list(axes.lines[0].get_xdata()) == [0.1, 0.2, 0.4]
    assert list(axes.lines[0].get_ydata()) == [30, 33, 36]
    assert (axes.get_ylabel(), axes.get_xscale()) == ("MS-SSIM", "log")
    figure.savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_legend_tells_bytes_against_the_reference_at_equal_quality() -> None:
    far = [(0.1, 50.0), (0.2, 51.0)]
    figure = rd_plot({"ours": _OURS, "avif": _AVIF, "far": far}, reference="avif")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "ours, 50 % fewer bytes",
        "avif",
        "far, not comparable",
    ]
    figure = rd_plot({"ours": _OURS, "avif": _AVIF}, reference="ours")
    assert figure.axes[0].get_legend().get_texts()[1].get_text() == "avif, 100 % more bytes"


def test_lossless_points_have_no_place_on_the_axis() -> None:
    figure = rd_plot({"ours": [*_OURS, (3.0, float("inf")), (4.0, float("nan"))]})
    assert len(figure.axes[0].lines[0].get_xdata()) == 3


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(UnfitValue, match="at least one"):
        rd_plot({})
    with pytest.raises(UnfitValue, match=r"none in \['b'\]"):
        rd_plot({"a": _OURS, "b": [(3.0, float("inf"))]})
    with pytest.raises(UnfitValue, match="reference 'webp' is none of ours"):
        rd_plot({"ours": _OURS}, reference="webp")

"""The look of figures: the same whatever a caller has set, small, and with letters in them."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from panic_assets.reports import fonts, style


@style.styled
def drawing(points: int = 10) -> object:
    figure, (panel,) = style.new_figure(title="A title of $5")
    rng = np.random.default_rng(0)
    panel.scatter(*rng.normal(size=(2, points)), rasterized=points > style.RASTERISE_FROM, label="one")
    panel.set_title("€ & <b>")
    return figure


def test_settings_of_the_caller_change_nothing() -> None:
    plain = style.save(drawing())  # type: ignore[arg-type]
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "axes.titlesize": 30, "svg.fonttype": "path"}):
        assert style.save(drawing(), "svg") == style.save(drawing(), "svg")  # type: ignore[arg-type]
        other = style.save(drawing())  # type: ignore[arg-type]
        assert mpl.rcParams["font.size"] == 20
    sizes = [Image.open(io.BytesIO(data)).size for data in (plain, other)]
    assert sizes[0] == sizes[1]


def test_text_of_an_svg_stays_text_with_its_letters() -> None:
    drawn = style.save(drawing(), "svg").decode()  # type: ignore[arg-type]
    assert "A title of $5" in drawn
    assert "€ &amp; &lt;b&gt;" in drawn
    assert drawn.count("@font-face") == 2  # the title is bold
    assert "dc:date" not in drawn


def test_many_points_do_not_blow_up_a_file() -> None:
    few, many = (len(style.save(drawing(points), "svg")) for points in (1000, 30_000))  # type: ignore[arg-type]
    assert many < 3 * few


def test_a_picture_that_can_not_be_small_is_none() -> None:
    figure, (panel,) = style.new_figure(width=3, height=3)
    panel.imshow(np.random.default_rng(0).random((200, 200, 3)))
    assert style.small_png(figure, 5_000) is None
    assert style.small_png(figure, 2_000_000) is not None


def test_colours_begin_anew_with_other_lines() -> None:
    looks = {(style.colour(number), style.line(number)) for number in range(28)}
    assert len(looks) == 28


def test_colours_differ_in_lightness_from_paper() -> None:
    from matplotlib.colors import to_rgb

    for tint in style.COLOURS:
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(tint)
        )
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # WCAG 2.1, relative luminance
        assert 1.05 / (luminance + 0.05) > 2


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(style.UnknownFormat, match="'gif'"):
        style.save(drawing(), "gif")  # type: ignore[arg-type]


def test_what_the_font_lacks_is_a_box() -> None:
    assert fonts.drawable("a 猫 é") == "a □ é"


def test_an_svg_without_text_needs_no_letters() -> None:
    assert fonts.with_font(b"<svg><defs></defs></svg>", "DejaVu Sans") == b"<svg><defs></defs></svg>"

"""What is on the figures: lines, bars, labels and captions."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from panic_assets.lake import Lake
from panic_assets.loop.pictures import PictureShelf
from panic_assets.reports.figures import (
    clusters,
    diagrams,
    divergence,
    drift,
    generic,
    plane,
    recurrence,
    strips,
    wheels,
)
from panic_assets.reports.style import COLOURS
from panic_assets_tests.reports.figures.conftest import NETWORKS


def found(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def words(figure: Figure) -> list[str]:
    from matplotlib.text import Text

    return [one.get_text() for one in figure.findobj(Text) if isinstance(one, Text) and one.get_text()]


def test_curves_have_a_line_and_a_band_for_each_network(lake: Lake) -> None:
    (panel,) = found(generic.curves(lake, "small", "sweet")).axes
    lines = {line.get_label(): line for line in panel.get_lines()}
    assert list(lines) == list(NETWORKS)
    for number, network in enumerate(NETWORKS):
        assert lines[network].get_ydata() == pytest.approx(np.arange(5.0) + number)
        assert lines[network].get_color() == COLOURS[number]
    assert len(panel.collections) == 3
    assert panel.get_title(loc="left") == "sugar\nDummyText, text"
    assert panel.get_xlabel() == "spoons"
    assert generic.curves(lake, "small", "sweet", only=("salt",)) is None


def test_dots_have_their_intervals(lake: Lake) -> None:
    (panel,) = found(generic.dots(lake, "small", "sweet")).axes
    values = [line.get_xdata()[0] for line in panel.get_lines() if line.get_marker() == "o"]
    bars = [
        tuple(line.get_xdata())
        for line in panel.get_lines()
        if line.get_linestyle() == "-" and len(line.get_xdata()) == 2
    ]
    assert values == [0.0, 1.0, 2.0]
    assert set(bars) >= {(-0.5, 0.5), (0.5, 1.5), (1.5, 2.5)}
    assert [label.get_text().replace("\n", " ") for label in panel.get_yticklabels()] == list(NETWORKS)


def test_values_of_runs_are_violins_with_a_dot_for_each_run(lake: Lake) -> None:
    (panel,) = found(generic.run_values(lake, "small", "sweet")).axes
    dots = [c for c in panel.collections if len(c.get_offsets()) == 12]
    assert len(dots) == 3
    assert sorted(x for c in dots for x, _ in np.asarray(c.get_offsets())) == list(range(36))
    assert panel.get_xlabel() == "g"


def test_labels_are_shares_and_names_of_single_runs_are_left_out(lake: Lake) -> None:
    (panel,) = found(generic.run_labels(lake, "small", "sweet")).axes
    widths = [patch.get_width() for patch in panel.patches]
    assert widths == pytest.approx([0.5] * 6)
    assert {label for label in panel.get_legend_handles_labels()[1]} == {"sweet", "sour"}


def test_analyses_without_rows_have_no_generic_figures(lake: Lake) -> None:
    for draw in (generic.curves, generic.dots, generic.run_values, generic.run_labels):
        assert draw(lake, "small", "salty") is None


def test_a_fit_is_a_straight_line_through_the_points_it_used(lake: Lake) -> None:
    still, growing = found(divergence.divergence_curves(lake, "small")).axes[1::-1]
    assert len(still.get_lines()) == 0
    curve, fit = growing.get_lines()
    assert len(curve.get_xdata()) == 10
    assert len(fit.get_xdata()) == 6
    assert fit.get_ydata() == pytest.approx(0.05 * np.exp(0.1 * np.asarray(fit.get_xdata())))
    assert growing.get_yscale() == "log"
    assert "early slope 0.1 [0.08, 0.12]" in growing.get_title(loc="left")


def test_drift_has_a_line_for_each_run_and_a_mean_for_each_network(lake: Lake) -> None:
    (panel,) = found(drift.drift_from_prompt(lake, "small")).axes  # DummyVision embeds no prompts
    assert len(panel.get_lines()) == 36 + 3
    strong = [line for line in panel.get_lines() if not str(line.get_label()).startswith("_")]
    assert [line.get_label() for line in strong] == list(NETWORKS)


def test_ridges_run_from_first_to_last(lake: Lake) -> None:
    panels = found(drift.drift_ridges(lake, "small")).axes
    assert len(panels) == 3
    labels = [label.get_text() for label in panels[0].get_yticklabels()]
    assert [int(label) for label in labels] == sorted(int(label) for label in labels)
    assert len(panels[0].get_lines()) == len(labels) == 9


def test_diagrams_have_points_of_each_dimension(lake: Lake) -> None:
    figure = found(diagrams.persistence_scatter(lake, "small"))
    rows = lake.read("persistence_diagrams", "small").to_pylist()
    finite = sum(int(np.isfinite(row["deaths"]).sum()) for row in rows)
    assert sum(len(c.get_offsets()) for panel in figure.axes for c in panel.collections) == finite
    assert len(found(diagrams.barcodes(lake, "small")).axes) >= 3
    assert len(found(diagrams.entropy_violins(lake, "small")).axes) >= 1


def test_a_timeline_has_a_row_for_each_run(lake: Lake) -> None:
    figure = found(clusters.cluster_timeline(lake, "small"))
    shapes = [panel.get_images()[0].get_array().shape for panel in figure.axes]
    assert (36, 24) in shapes or max(rows for rows, _ in shapes) == 36
    assert any("run has ended" in text for text in words(figure))


def test_the_graph_has_a_disc_for_each_cluster_and_never_joins_runs(lake: Lake) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch

    figure = found(clusters.transition_graph(lake, "small"))
    rows = [r for r in lake.read("transitions", "small").to_pylist() if r["kind"] == "bigram" and r["lag"] == 1]
    kinds = {(row["embedding_model"], row["modality"], row["network"]) for row in rows}
    assert len(figure.axes) == len(kinds)
    discs = sum(isinstance(patch, Circle) for panel in figure.axes for patch in panel.patches)
    arrows = sum(isinstance(patch, FancyArrowPatch) for panel in figure.axes for patch in panel.patches)
    assert discs >= len(kinds)
    assert arrows <= sum(row["from_state"] != row["to_state"] for row in rows)


def test_recurrence_plots_are_symmetric_with_a_dark_diagonal(lake: Lake) -> None:
    for panel in found(recurrence.recurrence_plot(lake, "small")).axes:
        shades = np.asarray(panel.get_images()[0].get_array())
        assert (shades == shades.T).all()
        assert (np.diag(shades) == 2).all()


def test_wheels_show_each_cycle_once(lake: Lake) -> None:
    figure = found(wheels.cycle_wheels(lake, "small", most=100))
    outcomes = [row for row in lake.read("outcomes", "small").to_pylist() if row["stop_reason"] == "cycle"]
    told = [text for text in words(figure) if text.endswith((" run", " runs"))]
    assert sum(int(text.split("\n")[1].split()[0]) for text in told) == len(outcomes)


def test_trajectories_hold_every_output_and_thumbnails_of_pictures(lake: Lake) -> None:
    from matplotlib.collections import PathCollection
    from matplotlib.offsetbox import AnnotationBbox

    figure = found(plane.trajectories_pca(lake, "small"))
    assert len(figure.axes) == 2
    image = next(panel for panel in figure.axes if "image" in panel.get_title(loc="left"))
    boxes = [artist for artist in image.artists if isinstance(artist, AnnotationBbox)]
    assert 1 <= len(boxes) <= 18
    rows = lake.read("embeddings", "small", ["sequence_number", "modality"]).to_pylist()
    points = sum(row["modality"] == "image" and row["sequence_number"] >= 0 for row in rows)
    dots = [c for c in image.collections if isinstance(c, PathCollection) and c.get_label() != "prompts"]
    assert sum(len(c.get_offsets()) for c in dots) == points


def test_captions_of_any_signs_are_text_and_not_formulas(lake: Lake) -> None:
    texts = words(found(strips.film_strips(lake, "small")))
    assert any("run " in text for text in texts)
    assert all("\u732b" not in text for text in texts)


def test_a_film_strip_shows_a_runs_pictures_in_order(lake: Lake) -> None:
    strip = strips.film_strip(lake, "small", 0, count=4)
    assert strip is not None
    rows = lake.read("invocations", "small", ["image_hash"], {"run_number": 0}).column(0).to_pylist()
    hashes = [value for value in rows if value is not None][:4]
    assert strip.shape == (48, len(hashes) * 50 - 2, 3)
    assert strip.dtype == np.uint8
    stored = PictureShelf(lake, "small").load(set(hashes))
    for place, image_hash in enumerate(hashes):
        tile = strip[:, place * 50 :][:, :48].astype(int)
        # Dummies paint two halves in one colour each.
        assert np.abs(tile[8, 24] - stored[image_hash][0, 0]).max() <= 2
        assert np.abs(tile[40, 24] - stored[image_hash][-1, 0]).max() <= 2
    assert (strip[:, 48:50] == 255).all()


def test_runs_of_texts_have_no_film_strip(lake: Lake) -> None:
    number = next(row["run_number"] for row in lake.read("runs", "small").to_pylist() if row["network"] == "DummyT2T")
    assert strips.film_strip(lake, "small", number) is None
    assert len(found(strips.film_strips(lake, "small")).subfigs) == 2  # the networks that have pictures


def test_cluster_names_may_hold_any_signs(lake: Lake, empty: Lake) -> None:
    from panic_assets.reports.style import small_png

    captions = [r"it costs $5 or $\frac{6", "two\nlines", "", "x" * 500, "%s {} &lt; <b>"]
    rows = lake.read("clusters").to_pylist()
    for number, row in enumerate(rows):
        row["medoid_text"] = captions[number % len(captions)]
    with empty.writer("clusters") as writer:
        writer.append(rows)
        writer.commit()
    figure = found(clusters.cluster_sizes(empty))
    assert any("$5" in text for text in words(figure))
    assert small_png(figure) is not None

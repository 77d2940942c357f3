"""Rates of codecs under the doctor's eyes, and their page when the experiment goes."""

from __future__ import annotations

from pathlib import Path

from panic_assets.lake import Lake
from panic_assets.upkeep.deleting import delete_experiment
from panic_assets.upkeep.doctor import examine, mend
from panic_assets.upkeep.leftovers import files_of, files_of_none
from panic_assets_tests.codec import measured
from panic_assets_tests.upkeep.ill import NAME, asked, work


def _data(folder: Path) -> tuple[Path, Lake]:
    lake = work(folder, asked(), analyses=False)
    measured.fill(lake, NAME)
    return folder, lake


def _broken(data: Path) -> dict[str, str]:
    """Remedies of broken rules about codecs."""
    found = examine(data, NAME).findings
    return {one.rule: one.remedy for one in found if one.table.startswith("codec_") and one.severity == "broken"}


def test_broken_rates_are_put_aside_with_what_was_compared_and_can_be_measured_again(tmp_path: Path) -> None:
    data, lake = _data(tmp_path)
    assert _broken(data) == {}
    rows = lake.read("codec_rates", NAME).to_pylist()
    with lake.writer("codec_rates", NAME) as writer:
        writer.replace([rows[0] | {"ms_ssim": 7.0}, *rows[1:]], {})
        writer.commit()
    remedies = _broken(data)
    assert set(remedies) == {"rates_are_sound"}
    assert "`panic codec report small`" in remedies["rates_are_sound"]
    mend(data, examine(data, NAME))
    assert lake.read("codec_rates", NAME).num_rows == 0
    assert lake.read("codec_comparisons", NAME).num_rows == 0, "they were of rates that are gone"
    assert _broken(data) == {}


def test_the_page_goes_with_the_experiment(tmp_path: Path) -> None:
    data, lake = _data(tmp_path)
    page = data / "reports" / f"{NAME}.codec.html"
    page.parent.mkdir(exist_ok=True)
    page.write_text("a page")
    assert page in [left.path for left in files_of(data, NAME)]
    assert files_of_none(data, {NAME}) == []
    assert [left.path for left in files_of_none(data, set())] == [page]
    delete_experiment(data, NAME)
    assert not page.exists()
    assert lake.manifest("codec_rates", NAME) is None

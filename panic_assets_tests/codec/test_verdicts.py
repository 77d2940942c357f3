"""Verdicts on curves whose distance is known: numbers, ranges, losses, and the sentences."""

from __future__ import annotations

import pytest

from panic_assets.codec.comparing import OURS, RIVALS
from panic_assets.codec.verdicts import COUNTED, MEASURES, headline, verdicts, without_loss
from panic_assets_tests.codec.measured import curve, rates, row


def _by(rows: list) -> dict:
    return {(one.against, one.measure, one.counted): one for one in verdicts(rows)}


def test_every_rival_measure_and_count_has_one_verdict() -> None:
    found = _by(rates())
    assert set(found) == {
        (rival, measure.name, counted) for rival in RIVALS for measure in MEASURES for counted in COUNTED
    }
    for measure in MEASURES:
        assert found["AVIF", measure.name, "files"].change == pytest.approx(-0.5)
        assert found["JPEG", measure.name, "files"].change == pytest.approx(-0.75)
        assert found["AVIF", measure.name, "files"].lost_share == 0
        assert found["WebP", measure.name, "files"].change == pytest.approx(1)
        assert found["WebP", measure.name, "files"].lost_share == pytest.approx(5 / 6, abs=1e-6)


def test_payload_is_counted_without_the_container() -> None:
    rows = [*curve(OURS), *(row("AVIF", step, 50 * 2**step + 300, 20 + 3 * step, 305) for step in range(1, 8))]
    found = _by(rows)
    assert found["AVIF", "psnr", "files"].change < -0.3
    assert found["AVIF", "psnr", "payload"].change == pytest.approx(0, abs=1e-9)
    assert "needs as many bytes of payload as AVIF" in found["AVIF", "psnr", "payload"].sentence


def test_ranges_are_in_the_measures_own_units() -> None:
    found = _by(rates())
    assert (found["AVIF", "psnr", "files"].worst, found["AVIF", "psnr", "files"].best) == pytest.approx((23, 41))
    assert found["AVIF", "ms_ssim", "files"].worst == pytest.approx(1 - 10**-2.3)
    assert found["AVIF", "drift", "files"].worst == pytest.approx(10**-2.3)
    assert found["AVIF", "drift", "files"].best == pytest.approx(10**-4.1)


def test_the_sentence_says_how_much_over_which_range_and_where_it_loses() -> None:
    found = _by(rates())
    assert found["AVIF", "psnr", "files"].sentence == (
        "At equal PSNR latent needs 50 % fewer bytes than AVIF over the range that both reach (23.0 dB to 41.0 dB); "
        "it loses nowhere in it."
    )
    # Eight times as dear as WebP at step 0, and equal where 2 ** (step / 2) is 8: at step 6, 38 dB.
    assert found["WebP", "psnr", "files"].sentence.endswith("; it loses below 38.0 dB.")
    assert found["WebP", "drift", "files"].sentence.endswith("; it loses above 0.00016.")
    turned = _by([*curve(OURS, 0.25, slope=1.5), *curve("AVIF")])
    assert turned["AVIF", "psnr", "files"].sentence.endswith("; it loses above 32.0 dB.")
    assert turned["AVIF", "drift", "files"].sentence.endswith("; it loses below 0.00063.")
    worse = _by([*curve(OURS, 3.0), *curve("AVIF")])
    assert "latent needs 200 % more bytes than AVIF" in worse["AVIF", "ms_ssim", "files"].sentence
    assert worse["AVIF", "ms_ssim", "files"].sentence.endswith("; it loses all over it.")


def test_curves_that_reach_nothing_in_common_are_told() -> None:
    found = _by([*curve(OURS, steps=range(1, 4)), *curve("WebP", steps=range(5, 8))])
    verdict = found["WebP", "psnr", "files"]
    assert (verdict.change, verdict.worst, verdict.best, verdict.lost_share) == (None, None, None, None)
    assert verdict.sentence == "No PSNR is reached by both latent (23.0 dB to 29.0 dB) and WebP (35.0 dB to 41.0 dB)."


def test_what_was_not_measured_is_not_judged() -> None:
    assert verdicts([]) == []
    assert headline([]) == ""
    blind = [one.__class__(**{**vars(one), "drift": None, "drift_p95": None}) for one in rates()]
    assert {one.measure for one in verdicts(blind)} == {"psnr", "ssim", "ms_ssim"}


def test_the_headline_and_what_loses_nothing() -> None:
    assert headline(verdicts(rates())).startswith("At equal MS-SSIM latent needs 50 % fewer bytes than AVIF ")
    assert without_loss(rates()) == "Without any loss files take: WebP 9,000 bytes, latent 9,500."
    assert without_loss(curve(OURS)) == ""

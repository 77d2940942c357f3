"""What must be true of measured codecs and of their comparison; see ``rules`` for what a rule is."""

from __future__ import annotations

from panic_assets.lake.rules import Rule

RATES = Rule(
    "rates_are_sound",
    "codec_rates",
    "all settings were measured on the same pictures of the experiment, files hold what they carry, likenesses are "
    "within their bounds, what loses nothing is equal, and no time or size is negative",
    """SELECT r.setting, r.pictures, r.bytes, r.container_bytes, r.psnr, r.ssim, r.ms_ssim, r.drift FROM codec_rates r
       WHERE r.experiment = $experiment AND NOT coalesce(
         r.pictures >= 1 AND r.megapixels > 0
         AND r.pictures = (SELECT max(pictures) FROM codec_rates WHERE experiment = $experiment)
         AND r.pictures <= (SELECT count(*) FROM image_index WHERE experiment = $experiment)
         AND r.bytes > 0 AND r.container_bytes >= 0 AND r.container_bytes < r.bytes
         AND abs(r.bpp - 8e-6 * r.bytes / r.megapixels) <= 1e-9 * r.bpp
         AND NOT isnan(r.psnr) AND r.ssim BETWEEN -1 AND 1 + 1e-9 AND r.ms_ssim BETWEEN 0 AND 1 + 1e-9
         AND r.drift BETWEEN 0 AND 2 AND r.drift_p95 BETWEEN 0 AND 2
         AND (r.quality IS NOT NULL OR (isinf(r.psnr) AND r.drift_p95 < 1e-6))
         AND r.encode_seconds >= 0 AND r.decode_seconds >= 0, false)""",
)

COMPARISONS = Rule(
    "comparisons_are_of_measured_codecs",
    "codec_comparisons",
    "what is compared was measured, ranges and shares are within their bounds, and files and payload are both counted",
    """SELECT c.against, c.measure, c.counted, c.change, c.worst, c.best, c.lost_share FROM codec_comparisons c
       WHERE c.experiment = $experiment AND (
         c.against NOT IN (SELECT codec FROM codec_rates WHERE experiment = $experiment AND quality IS NOT NULL)
         OR c.measure NOT IN ('psnr', 'ssim', 'ms_ssim', 'drift') OR c.counted NOT IN ('files', 'payload')
         OR c.sentence = '' OR isnan(c.change) OR c.change <= -1 OR NOT coalesce(c.lost_share BETWEEN 0 AND 1, true)
         OR (c.measure = 'drift' AND c.worst < c.best) OR (c.measure != 'drift' AND c.worst > c.best)
         OR (c.change IS NULL) != (c.worst IS NULL) OR (c.change IS NULL) != (c.best IS NULL)
         OR (c.change IS NULL) != (c.lost_share IS NULL)
         OR (SELECT count(*) FROM codec_comparisons o WHERE o.experiment = $experiment AND o.against = c.against
             AND o.measure = c.measure) != 2)""",
)

CODEC_RULES = (RATES, COMPARISONS)

"""What an experiment's runs did, as numbers: the table that every run ends with.

Here belong counts over the lake's tables; printing is the business of ``terminal``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from panic_assets.lake import connect

_BY_NETWORK = """
    WITH captions AS (
        SELECT run_number, count(DISTINCT text) AS distinct_texts,
               count(DISTINCT text) FILTER (2 * sequence_number >= last) AS late_texts,
               count(text) FILTER (2 * sequence_number >= last) AS late_captions
        FROM (SELECT *, max(sequence_number) OVER (PARTITION BY run_number) AS last FROM invocations
              WHERE experiment = $experiment)
        WHERE type = 'text' GROUP BY run_number)
    SELECT r.network, r.seed = -1 AS unseeded,
           count(*) AS runs,
           count(*) FILTER (o.stop_reason = 'cycle' AND o.cycle_length = len(r.models)) AS fixed_points,
           count(*) FILTER (o.stop_reason = 'cycle' AND o.cycle_length > len(r.models)) AS longer_cycles,
           count(*) FILTER (o.stop_reason = 'length' AND c.is_settled IS TRUE) AS settled,
           count(*) FILTER (o.stop_reason = 'length' AND c.is_settled IS NOT TRUE) AS wanderers,
           count(*) FILTER (o.stop_reason IN ('failed', 'quality')) AS stopped_early,
           median(o.transient_length) AS transient,
           max(o.cycle_length) AS longest_cycle,
           avg(c.distinct_texts) AS distinct_texts
    FROM runs_only r JOIN outcomes o USING (experiment, run_number)
    LEFT JOIN (SELECT *, late_texts = 1 AND late_captions > 1 AS is_settled FROM captions) c USING (run_number)
    WHERE r.experiment = $experiment GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class NetworkSummary:
    """Runs of one network, seeded or not, by what became of them.

    ``fixed_points``: ended on a cycle of one turn of the ring. ``longer_cycles``: of several turns. ``settled``: went
    to full length, saying one thing, more than once, in their second half. ``wanderers``: went to full length and did
    not settle.
    ``transient`` and ``longest_cycle`` are in invocations; ``distinct_texts`` is a mean over runs.
    """

    network: str
    unseeded: bool
    runs: int
    fixed_points: int
    longer_cycles: int
    settled: int
    wanderers: int
    stopped_early: int
    transient: float | None
    longest_cycle: int | None
    distinct_texts: float | None


def summarise(lake_root: Path, experiment: str) -> list[NetworkSummary]:
    """One line for each network and kind of seed; empty if the lake holds no outcomes of the experiment."""
    with connect(lake_root) as connection:
        rows = connection.execute(_BY_NETWORK, {"experiment": experiment}).fetchall()
    return [NetworkSummary(*row) for row in rows]

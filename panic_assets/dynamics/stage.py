"""The analysis stage: runs an analysis on an experiment and brings its rows in the lake up to date.

Here belongs what is written where and when it need not be made again. What an analysis computes is its own business.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from panic_assets.dynamics.corpus import Corpus, load_corpus
from panic_assets.dynamics.findings import Findings
from panic_assets.lake import Lake
from panic_assets.lake.schemas import table_spec

_LOCK_SECONDS = 120.0  # analyses of one experiment write into the same tables, one after the other


@dataclass(frozen=True)
class Analysis:
    """An analysis: a function of a corpus.

    ``reads`` are the tables it depends on; ``version`` rises whenever it means or finds something else. The table
    ``transitions`` belongs to the one that ``has_transitions``.
    """

    name: str
    title: str
    description: str
    compute: Callable[[Corpus], Findings]
    reads: tuple[str, ...] = ("runs", "invocations", "outcomes", "embeddings")
    version: int = 1
    has_transitions: bool = False


@dataclass(frozen=True)
class AnalysisSummary:
    """Rows by table, and whether they were made anew."""

    rows: dict[str, int]
    computed: bool


def analyse(lake: Lake, experiment: str, analysis: Analysis) -> AnalysisSummary:
    """Bring the rows of one analysis up to date; nothing is computed if what it reads has not changed.

    Raises:
        NothingToAnalyse: the experiment has no runs.
        LakeError: a table can't be read or written.
    """
    mark = _fingerprint(lake, experiment, analysis)
    property_name = f"analysis:{analysis.name}"
    where = {"analysis": analysis.name}
    held = lake.manifest("dynamics", experiment)
    if held is not None and held.properties.get(property_name) == mark:
        counts = {
            table: lake.read(table, experiment, columns=["analysis"], where=where).num_rows
            for table in ("run_statistics", "dynamics", "curves")
        }
        return AnalysisSummary(counts, False)
    findings = analysis.compute(load_corpus(lake, experiment))
    counts = {}
    # The table that bears the mark is written last: until then the analysis counts as not made.
    tables = findings.tables(experiment, analysis.name)
    for table in ("run_statistics", "curves", "dynamics"):
        with lake.writer(table, experiment, timeout=_LOCK_SECONDS) as writer:
            writer.replace(tables[table], where)
            if table == "dynamics":
                writer.set_property(property_name, mark)
            writer.commit()
        counts[table] = len(tables[table])
    if analysis.has_transitions:
        with lake.writer("transitions", experiment, timeout=_LOCK_SECONDS) as writer:
            writer.replace([{"experiment": experiment} | row for row in findings.transitions], {})
            writer.commit()
        counts["transitions"] = len(findings.transitions)
    return AnalysisSummary(counts, True)


def is_current(lake: Lake, experiment: str, analysis: Analysis) -> bool:
    """Whether the analysis was made of what the lake holds now; no row is read.

    Raises:
        CorruptPart: a damaged manifest.
    """
    made = lake.properties("dynamics", experiment).get(f"analysis:{analysis.name}")
    return made is not None and made == _fingerprint(lake, experiment, analysis)


def _fingerprint(lake: Lake, experiment: str, analysis: Analysis) -> str:
    """Of what the analysis reads: the names of the parts, which are never written twice, and its own version."""
    parts = {}
    for table in analysis.reads:
        manifest = lake.manifest(table, experiment if table_spec(table).partitioned else None)
        parts[table] = [part.file for part in manifest.parts] if manifest else []
    content = json.dumps([analysis.version, parts], sort_keys=True)
    return blake2b(content.encode(), digest_size=16).hexdigest()

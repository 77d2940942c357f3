"""What breaks the rules: of an experiment, of a study, of the whole lake.

Here belongs running rules on the views of what can be read, and the remedies. The rules are in ``truths``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import duckdb

from panic_assets.lake import Lake
from panic_assets.lake.catalog import connect_to
from panic_assets.lake.manifest import Manifest
from panic_assets.lake.rules import Rule, judge
from panic_assets.lake.schemas import TableSpec
from panic_assets.lake.specs import STUDY_KEY, owner
from panic_assets.upkeep.findings import EXAMPLES, Finding, Place, Severity, about, owner_of
from panic_assets.upkeep.partial import PartialLake
from panic_assets.upkeep.survey import AGAIN
from panic_assets.upkeep.truths import HINTS, OF_STUDY, STUDIED, Judged, null_keys, repeated_keys

_REMEDIES = {
    "broken": f"{AGAIN} puts the rows aside, then `{{command}}`",
    "to_do": "{command}",
    "hint": "nothing need be done; a run may still come to use them",
}

#: What makes rows of a table again, where a run does not.
_COMMANDS = {"codec_rates": "panic codec report", "codec_comparisons": "panic codec report"}

_STUDY_REMEDIES = {
    "broken": f"{AGAIN} puts the rows aside, then `panic study run {{name}}` writes them again",
    "to_do": "panic study run {name}",
    "hint": "look at these trials; nothing in the lake can be mended",
}


def study_findings(lake: Lake, study: str, manifests: Mapping[Place, Manifest]) -> Iterator[Finding]:
    """What is wrong with the rows of a study."""
    own = {place: manifest for place, manifest in manifests.items() if owner_of(place) == owner(STUDY_KEY, study)}
    with connect_to(PartialLake(lake.root, own)) as connection:
        found: list[Finding] = []
        for spec in STUDIED:
            if (spec.name, study) in own:
                found += generic(connection, spec, study)
        for judged in OF_STUDY:
            found += judged_by(connection, judged, study)
    for finding in found:
        remedy = _STUDY_REMEDIES[finding.severity].format(name=study)
        yield replace(about((finding.table, study), finding), remedy=remedy)


def generic(connection: duckdb.DuckDBPyConnection, spec: TableSpec, name: str | None) -> Iterator[Finding]:
    """What no table may have: nulls where it admits none, and keys that come twice."""
    for rule, meaning, query in (
        ("values_are_not_null", "no value is null but where the table admits it", null_keys(spec)),
        ("keys_are_unique", f"({', '.join(spec.key)}) comes once", repeated_keys(spec)),
    ):
        yield from judged_by(connection, Judged(Rule(rule, spec.name, meaning, query, None), None), name)


def judged_by(
    connection: duckdb.DuckDBPyConnection, judged: Judged, name: str | None, where: str = ""
) -> Iterator[Finding]:
    """What breaks a rule, of an experiment or of the whole lake; ``where`` leaves out some of its rows."""
    rule = judged.rule
    worst: Severity = "hint" if rule.name in HINTS else "broken"
    for severity, is_broken in ((worst, True), ("to_do", False)):
        if not is_broken and judged.unfinished is None:
            continue
        query = f"SELECT * FROM ({judged.select(is_broken)}){where}"
        try:
            verdict = judge(connection, Rule(rule.name, rule.asset, rule.meaning, query, rule.partition), name)
        except duckdb.Error as error:
            message = f"can't be judged: {str(error).splitlines()[0]}"
            yield Finding(
                rule.name, "broken", message, "mend what else is broken, then examine again", rule.asset, name
            )
            return
        if not verdict.holds:
            command = f"{_COMMANDS.get(rule.asset, 'panic run')} {name or 'EXPERIMENT'}"
            remedy = _REMEDIES[severity].format(command=command)
            yield Finding(
                rule.name,
                severity,
                rule.meaning,
                remedy,
                rule.asset,
                name,
                None,
                verdict.count,
                tuple(verdict.examples[:EXAMPLES]),
            )

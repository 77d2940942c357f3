"""The page ``docs/tables.md``, made from the declared tables.

``python -m panic_assets.lake.document > docs/tables.md`` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from panic_assets.lake.schemas import TABLES, VECTOR, TableSpec


def tables_page() -> str:
    """All tables as Markdown."""
    lines = [
        "# Tables of the lake",
        "",
        "Made from `panic_assets/lake/schemas.py` by `python -m panic_assets.lake.document`; change it there.",
        "",
        "Partitioned tables lie under `data/lake/<table>/experiment=<key>/` or `data/lake/<table>/study=<key>/`, the "
        "others under `data/lake/<table>/`. Join those of experiments on `experiment`, `run_number` and "
        "`sequence_number`, those of studies on `study` and `trial_id`.",
        "",
    ]
    for spec in TABLES.values():
        lines += section(spec)
    return "\n".join(lines).rstrip() + "\n"


def section(spec: TableSpec) -> Iterator[str]:
    """The lines of one table."""
    yield f"## {spec.name}"
    yield ""
    kind = f"Partitioned by {spec.partition}" if spec.partitioned else "Over all experiments"
    yield f"{spec.meaning} {kind}; key: {', '.join(spec.key)}; schema version {spec.schema_version}."
    yield ""
    yield "| column | type | unit | null | meaning |"
    yield "|---|---|---|---|---|"
    for column in spec.columns:
        kind = "fixed_size_list<float>[d]" if column.type is VECTOR else str(column.type).replace("element: ", "")
        yield f"| {column.name} | {kind} | {column.unit} | {'yes' if column.nullable else ''} | {column.meaning} |"
    yield ""


if __name__ == "__main__":
    print(tables_page(), end="")

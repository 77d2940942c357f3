"""Which rows nothing leads to: for each table the condition, and the sentence that says so.

Here belongs SQL over the tables of any layout; ``{runs}`` stands for what a layout calls its table of runs. Every
condition is one pass over its table with a look-up by primary key for each parent. An identifier that a column of
numbers turned into a float is compared as text, and so matches nobody.
"""

from __future__ import annotations

_RUN = '"{runs}" AS r CROSS JOIN "{experiments}" AS x ON x.id = r.experiment_id'
_INVOCATION = (
    '"{invocations}" AS i CROSS JOIN "{runs}" AS r ON r.id = i.run_id '
    'CROSS JOIN "{experiments}" AS x ON x.id = r.experiment_id'
)
_EMBEDDING = f'"{{embeddings}}" AS e CROSS JOIN {_INVOCATION.replace(" CROSS", " ON i.id = e.invocation_id CROSS", 1)}'
_ID = "CASE typeof({column}) WHEN 'blob' THEN {column} ELSE CAST({column} AS TEXT) END"


def _unreached(parents: str, alias: str, table: str, column: str) -> str:
    spelled = _ID.replace("{column}", f'"{{{table}}}".{column}')
    return f"NOT EXISTS (SELECT 1 FROM {parents} WHERE {alias}.id = {spelled})"


UNREACHED: dict[str, tuple[str, str]] = {
    "runs": (
        _unreached('"{experiments}" AS x', "x", "runs", "experiment_id"),
        "experiment_id: no experiment has this identifier",
    ),
    "invocations": (
        _unreached(_RUN, "r", "invocations", "run_id"),
        "run_id: no run of an experiment has this identifier",
    ),
    "embeddings": (
        _unreached(_INVOCATION, "i", "embeddings", "invocation_id"),
        "invocation_id: no invocation of a run of an experiment has this identifier",
    ),
    "diagrams": (_unreached(_RUN, "r", "diagrams", "run_id"), "run_id: no run of an experiment has this identifier"),
    "assignments": (
        _unreached(_EMBEDDING, "e", "assignments", "embedding_id"),
        "embedding_id: no embedding of an invocation of a run of an experiment has this identifier",
    ),
    "exponents": (
        _unreached('"{experiments}" AS x', "x", "exponents", "experiment_id"),
        "experiment_id: no experiment has this identifier",
    ),
}

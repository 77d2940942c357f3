from __future__ import annotations

import pyarrow as pa
import pytest

from panic_assets.lake import SCHEMA_VERSION, TABLES, LakeError, table_spec
from panic_assets.lake.schemas import VECTOR


@pytest.mark.parametrize("spec", TABLES.values(), ids=TABLES)
def test_every_table_is_whole(spec):
    assert len(set(spec.names)) == len(spec.names)
    for name in (*spec.key, *spec.sort, *spec.labels):
        assert not spec.column(name).nullable
    assert set(spec.key) <= set(spec.sort), "rows with distinct keys must have one order"
    assert all(pa.types.is_string(spec.column(name).type) for name in spec.labels)
    assert spec.partition is None or spec.partition == spec.key[0] == spec.sort[0] == spec.names[0]
    assert [spec.of_experiment, spec.of_study] == [spec.partition == "experiment", spec.partition == "study"]
    assert all(column.meaning.endswith(".") for column in spec.columns)
    assert spec.arrow_schema().metadata[b"schema_version"] == str(SCHEMA_VERSION[spec.name]).encode()
    assert spec.arrow_schema().names == spec.names


def test_vectors_get_their_size():
    spec = TABLES["embeddings"]
    assert spec.column("vector").type is VECTOR
    assert spec.arrow_schema(3).field("vector").type.list_size == 3
    assert spec.labels == ("embedding_model",)


def test_unknown_names_are_met_with_near_ones():
    with pytest.raises(LakeError, match="no table 'invocation'; did you mean invocations"):
        table_spec("invocation")
    with pytest.raises(LakeError, match="table runs has no column 'run'; did you mean"):
        TABLES["runs"].column("run")

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.lake import TABLES, Lake, LakeError, PartitionLocked, SchemaViolation, connect, removal
from panic_assets.lake import writer as writer_module
from panic_assets_tests.lake.make import in_order, row, rows


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def _key(table: str) -> str | None:
    return "first" if TABLES[table].partitioned else None


@pytest.mark.parametrize("table", TABLES)
def test_every_table_gives_back_what_it_got(lake, table):
    numbers = range(0, 12, 2) if table == "embeddings" else range(6)
    made = rows(table, numbers, **({"embedding_model": "small"} if "embedding_model" in TABLES[table].names else {}))
    if TABLES[table].key == ("experiment",):
        made = made[:1]
    with lake.writer(table, _key(table)) as writer:
        writer.append(made[::-1])
        assert lake.read(table).num_rows == 0, "nothing is visible before the commit"
        assert writer.commit() == 1
    found = lake.read(table, _key(table))
    assert found.to_pylist() == in_order(table, made)
    assert found.schema.metadata[b"schema_version"] == str(TABLES[table].schema_version).encode()
    assert lake.verify(table, _key(table)) == []


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_lake_has_every_table(lake, table):
    assert lake.read(table).schema == TABLES[table].arrow_schema()
    assert lake.read(table, _key(table)).num_rows == 0
    assert lake.generation(table, _key(table)) == 0
    assert lake.properties(table, _key(table)) == {}
    assert lake.manifests(table) == []
    assert lake.verify(table, _key(table)) == []
    lake.delete(table, _key(table))
    assert lake.remove_old(table, _key(table)) == 0
    assert not lake.root.exists()


operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.integers(0, 40), max_size=6, unique=True)),
        st.tuples(st.just("replace"), st.sampled_from([{}, {"embedding_model": "small"}, {"run_number": [1, 3, 8]}])),
        st.tuples(st.just("commit"), st.none()),
        st.tuples(st.just("compact"), st.none()),
        st.tuples(st.just("reopen"), st.none()),
        st.tuples(st.just("fail"), st.none()),
    ),
    max_size=12,
)


class _Stopped(Exception):
    pass


@settings(max_examples=25, deadline=None)
@given(operations, st.sampled_from(["persistence_features", "embeddings"]), st.sampled_from([1, 1 << 30]))
def test_the_store_is_a_list_with_commits(tmp_path_factory, steps, table, buffer_bytes):
    """Any order of operations shows what a plain list would, in this process and to a fresh reader."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    committed: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "BUFFER_BYTES", buffer_bytes)
        remaining = list(steps)
        while remaining:
            pending = list(committed)
            try:
                with lake.writer(table, "first") as writer:
                    while remaining:
                        name, value = remaining.pop(0)
                        if name == "append":
                            held = {r["run_number"] for r in pending}
                            new = rows(table, [n for n in value if n not in held])
                            writer.append(new)
                            pending += new
                        elif name == "replace":
                            new = rows(table, [8], embedding_model="small")
                            writer.replace(new, value)
                            pending = [r for r in pending if not _meets(r, value)]
                            pending = [r for r in pending if r["run_number"] != 8] + new
                            if not _meets(row(table, 8), value):
                                raise AssertionError("the new row must meet every condition of this test")
                        elif name == "fail":
                            raise _Stopped
                        else:
                            (writer.compact if name == "compact" else writer.commit)()
                            committed = list(pending)
                            if name == "reopen":
                                break
                        assert lake.read(table, "first").to_pylist() == in_order(table, committed)
                    writer.commit()
                    committed = list(pending)
            except _Stopped:
                pass
            assert lake.read(table, "first").to_pylist() == in_order(table, committed)
    for model in ("small", "large"):
        found = lake.read(table, where={"embedding_model": model}).to_pylist()
        assert found == in_order(table, [r for r in committed if r["embedding_model"] == model])
    assert lake.verify(table, "first") == []


def _meets(made: dict[str, Any], where: dict[str, Any]) -> bool:
    return all(made[name] in (value if isinstance(value, list) else [value]) for name, value in where.items())


def test_read_chooses_columns_rows_and_partitions(lake):
    for experiment in ("first", "second"):
        with lake.writer("invocations", experiment) as writer:
            for start in (0, 10):
                writer.append(rows("invocations", range(start, start + 10), experiment))
                writer.commit()
    assert lake.experiments("invocations") == ["first", "second"]
    assert lake.read("invocations").num_rows == 40
    assert lake.read("invocations")["experiment"].to_pylist() == ["first"] * 20 + ["second"] * 20
    found = lake.read(
        "invocations", "second", columns=["text", "run_number"], where={"run_number": {4, 12}, "type": "type 4"}
    )
    assert found.to_pylist() == [{"text": "text 4", "run_number": 4}]
    assert lake.read("invocations", where={"experiment": "second", "text": None})["run_number"].to_pylist() == [
        *range(0, 20, 3)
    ]
    assert lake.read("invocations", "third").num_rows == 0
    with pytest.raises(LakeError, match="no column 'colour'"):
        lake.read("invocations", columns=["colour"])
    with pytest.raises(LakeError, match="no column 'colour'"):
        lake.read("invocations", where={"colour": 1})


def test_two_dimensions_live_side_by_side(lake):
    made = rows("embeddings", range(20))
    with lake.writer("embeddings", "first") as writer:
        for start in (0, 10):
            writer.append(made[start : start + 10])
            writer.commit()
        assert len(lake.manifest("embeddings", "first").parts) == 4
        writer.compact()
    parts = lake.manifest("embeddings", "first").parts
    assert sorted((part.labels["embedding_model"], part.dimension, part.rows) for part in parts) == [
        ("large", 6, 10),
        ("small", 4, 10),
    ]
    assert lake.read("embeddings", where={"embedding_model": "large"}).schema.field("vector").type.list_size == 6
    assert lake.read("embeddings").to_pylist() == in_order("embeddings", made)


def test_replace_recomputes_one_model_with_another_dimension(lake):
    with lake.writer("embeddings", "first") as writer:
        writer.append(rows("embeddings", range(6)))
        writer.commit()
        writer.replace(rows("embeddings", [0, 2], vector=[1.0, 2.0]), {"embedding_model": "small"})
        writer.commit()
    found = lake.read("embeddings", "first").to_pylist()
    assert [(r["embedding_model"], r["run_number"], len(r["vector"])) for r in found] == [
        *(("large", n, 6) for n in (1, 3, 5)),
        *(("small", n, 2) for n in (0, 2)),
    ]


def test_replace_refuses_rows_that_it_would_not_drop_next_time(lake):
    with lake.writer("embeddings", "first") as writer:
        writer.append(rows("embeddings", range(4)))
        writer.commit()
        with pytest.raises(SchemaViolation, match="expected new rows with"):
            writer.replace(rows("embeddings", [1]), {"embedding_model": "small"})
    assert lake.read("embeddings").num_rows == 4


def test_properties_are_committed_with_the_rows(lake):
    with lake.writer("invocations", "first") as writer:
        writer.set_property("resume", {"step": 3, "batch": [1, 2]})
        writer.append(rows("invocations", [1]))
        assert lake.properties("invocations", "first") == {}
        writer.commit()
        with pytest.raises(LakeError, match="must be a JSON value"):
            writer.set_property("resume", {1, 2})
    assert lake.properties("invocations", "first") == {"resume": {"step": 3, "batch": [1, 2]}}
    with lake.writer("invocations", "first") as writer:
        assert writer.properties == {"resume": {"step": 3, "batch": [1, 2]}}
        writer.replace([], {})
        writer.commit()
    assert lake.properties("invocations", "first")["resume"]["step"] == 3


def test_a_commit_without_changes_is_none(lake):
    with lake.writer("runs", "first") as writer:
        assert writer.commit() == 1, "the first one says that the partition exists"
        assert writer.commit() == 1
        writer.append(rows("runs", [1]))
        assert writer.commit() == writer.generation == 2
        assert writer.compact() == 3
        assert writer.compact() == 3
    assert lake.experiments("runs") == ["first"]


def test_forgotten_rows_are_an_error(lake):
    with pytest.raises(LakeError, match="closed with uncommitted changes"):  # noqa: SIM117
        with lake.writer("runs", "first") as writer:
            writer.append(rows("runs", [1]))
    with lake.writer("runs", "first", timeout=0) as writer:
        writer.commit()
    assert lake.read("runs").num_rows == 0


def test_many_appends_are_one_part(lake, monkeypatch):
    with lake.writer("images", "first") as writer:
        for number in range(40):
            writer.append(rows("images", [number]))
        writer.commit()
        assert len(lake.manifest("images", "first").parts) == 1
        monkeypatch.setattr(writer_module, "BUFFER_BYTES", 1000)
        writer.append(rows("images", range(40, 60)))
        assert len(list(lake.folder("images", "first").glob("*.parquet"))) == 2, "a full buffer goes to disk early"
        assert lake.read("images").num_rows == 40
        writer.commit()
    assert lake.read("images").num_rows == 60


def test_a_picture_is_kept_once(lake):
    with lake.writer("images", "first") as writer:
        writer.append(rows("images", [3, 4, 4]))
        writer.append(rows("images", [4], run_number=9))
        writer.commit()
        writer.append(rows("images", [3, 5]))
        writer.commit()
    with lake.writer("images", "first") as writer:
        writer.append(rows("images", [5, 6], run_number=9))
        writer.commit()
        assert lake.read("images", columns=["run_number"])["run_number"].to_pylist() == [3, 4, 5, 9]
        writer.replace([], {"run_number": 4})
        writer.append(rows("images", [4]))
        writer.commit()
    assert lake.read("images").num_rows == 4


def test_old_parts_stay_for_readers_and_go_when_told(lake):
    with lake.writer("runs", "first") as writer:
        for number in range(3):
            writer.append(rows("runs", [number]))
            writer.commit()
        old = {part.file for part in lake.manifest("runs", "first").parts}
        writer.compact()
    folder = lake.folder("runs", "first")
    assert old < set(os.listdir(folder))
    with lake.writer("runs", "first"):
        pass
    assert old < set(os.listdir(folder)), "opening a writer leaves parts that readers may hold"
    assert lake.remove_old("runs", "first", older_than_seconds=60) == 0
    assert lake.remove_old("runs", "first", older_than_seconds=0) == 3
    assert not old & set(os.listdir(folder))
    assert lake.read("runs").num_rows == 3
    assert lake.generation("runs", "first") == 4


def test_a_reader_that_loses_the_race_looks_again(lake, monkeypatch):
    """The manifest that a reader holds is replaced and its parts are removed before it opens them."""
    from panic_assets.lake import store

    with lake.writer("runs", "first") as writer:
        for number in range(3):
            writer.append(rows("runs", [number]))
            writer.commit()
    load, raced = store.load_manifest, []

    def load_then_lose(folder):
        manifest = load(folder)
        if not raced:
            raced.append(folder)
            with lake.writer("runs", "first") as other:
                other.compact()
            lake.remove_old("runs", "first", older_than_seconds=0)
        return manifest

    monkeypatch.setattr(store, "load_manifest", load_then_lose)
    assert lake.read("runs", "first")["run_number"].to_pylist() == [0, 1, 2]
    assert raced


def test_delete_takes_the_partition_and_leaves_the_others(lake):
    for experiment in ("first", "second"):
        with lake.writer("runs", experiment) as writer:
            writer.append(rows("runs", [1], experiment))
            writer.commit()
    lake.delete("runs", "first", now=True)
    assert lake.experiments("runs") == ["second"]
    assert not lake.folder("runs", "first").exists()
    assert lake.read("runs").num_rows == 1
    with lake.writer("runs", "first") as writer:
        writer.append(rows("runs", [2]))
        assert writer.commit() == 1


def test_what_was_deleted_stays_for_those_who_read_it(lake):
    with lake.writer("runs", "first") as writer:
        writer.append(rows("runs", [1]))
        writer.commit()
    folder = lake.folder("runs", "first")
    with connect(lake.root) as reader:
        (old,) = (part.file for part in lake.manifest("runs", "first").parts)
        lake.delete("runs", "first")
        assert (lake.manifest("runs", "first"), lake.experiments("runs"), lake.read("runs").num_rows) == (None, [], 0)
        assert reader.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
        with lake.writer("runs", "first") as writer:
            writer.append(rows("runs", [2, 3]))
            assert writer.commit() == 1
        assert reader.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
    lake.delete("runs", "first")
    assert lake.tidy(older_than_seconds=60) == 0
    assert (folder / old).exists()
    assert lake.tidy(older_than_seconds=0) == 2
    assert not folder.exists()


def test_a_deletion_that_ended_before_the_manifest_went_did_not_happen(lake):
    with lake.writer("runs", "first") as writer:
        writer.append(rows("runs", [1]))
        writer.commit()
    manifest = lake.folder("runs", "first") / "_manifest.json"
    content = manifest.read_bytes()
    lake.delete("runs", "first")
    manifest.write_bytes(content)
    assert lake.read("runs").num_rows == 1
    assert lake.tidy(older_than_seconds=0) == 0
    assert lake.verify("runs", "first") == []
    assert not (manifest.parent / "_deleted.json").exists()


def test_an_experiment_goes_as_a_whole_or_stays(lake):
    for table in ("runs", "invocations", "images"):
        with lake.writer(table, "first") as writer:
            writer.append(rows(table, [1]))
            writer.commit()
    with lake.writer("invocations", "first"), pytest.raises(PartitionLocked):
        lake.delete_experiment("first")
    assert [lake.experiments(table) for table in ("runs", "invocations", "images")] == [["first"]] * 3
    removal.begin_deletion(lake.root, "first")  # and died
    assert [lake.experiments(table) for table in ("runs", "invocations", "images")] == [[]] * 3
    assert lake.read("runs").num_rows == lake.read("runs", "first").num_rows == 0
    assert lake.verify("runs", "first") == []
    with pytest.raises(LakeError, match=r"its deletion has begun and not ended.*panic gc"):
        lake.writer("runs", "first").__enter__()
    lake.delete_experiment("first")
    assert removal.deletions(lake.root) == {"first": False}
    with lake.writer("runs", "first") as writer:
        writer.append(rows("runs", [5]))
        assert writer.commit() == 1


def test_the_lake_of_the_data_directory(data):
    with Lake.open().writer("runs", "first") as writer:
        writer.append([row("runs", 1)])
        writer.commit()
    assert (data / "lake" / "runs" / "experiment=first" / "_manifest.json").exists()


def test_keys_that_come_twice_are_found(lake):
    with lake.writer("runs", "first") as writer:
        writer.append(rows("runs", [1, 2]))
        writer.commit()
        writer.append(rows("runs", [2]))
        writer.commit()
    (problem,) = lake.verify("runs", "first")
    assert "1 keys come more than once, such as {'experiment': 'first', 'run_number': 2}" in problem.message


def test_tidying_frees_what_compaction_left_in_every_partition_but_those_being_written(tmp_path):
    lake = Lake(tmp_path / "lake")
    for experiment in ("first", "second"):
        with lake.writer("runs", experiment) as writer:
            for number in (0, 1):
                writer.append(rows("runs", [number], experiment))
                writer.commit()
            writer.compact()

    def files() -> dict[str, int]:
        return {key: len(list(lake.folder("runs", key).glob("*.parquet"))) for key in ("first", "second")}

    assert files() == {"first": 3, "second": 3}
    assert lake.tidy() == 0, "readers may still hold what was dropped just now"
    with lake.writer("runs", "second"):
        assert lake.tidy(older_than_seconds=0) == 2
    assert files() == {"first": 1, "second": 3}
    assert lake.tidy(older_than_seconds=0) == 2
    assert files() == {"first": 1, "second": 1}
    assert lake.read("runs").num_rows == 4

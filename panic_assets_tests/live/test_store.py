"""The database under the store: its tables and their history, its errors, its size, its backups."""

from __future__ import annotations

import sqlite3
import stat
import threading

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from panic_assets.live.store import LiveStoreError, Store, check_database
from panic_assets.live.store.migrating import known_revisions, upgrade
from panic_assets.live.store.tables import metadata
from panic_assets_tests.live.stores import KINDS, SERVER, address, begun, opened


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    with address(request.param, tmp_path) as url:
        yield url


def test_the_migrations_make_the_tables_that_the_code_has(url):
    store = Store(url)
    store.migrate()
    store.migrate()
    with store._reads() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    store.close()


def test_the_migrations_make_the_same_rules_too(tmp_path):
    """Comparing with Alembic sees no checks; the words of the tables do."""
    with opened("sqlite", tmp_path / "migrated") as store, store._reads() as connection:
        migrated = _definitions(connection)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/made.db")
    metadata.create_all(engine)
    with engine.connect() as connection:
        assert _definitions(connection) == migrated
    engine.dispose()


def _definitions(connection):
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    parts = {name: sorted(part.strip(' ,\t"').replace('"', "") for part in sql.splitlines()) for name, sql in rows}
    return {name: words for name, words in parts.items() if name not in ("alembic_version", "sqlite_sequence")}


def test_rows_of_an_older_version_are_kept(url):
    store = Store(url)
    oldest = known_revisions()[-1]
    upgrade(store._engine, store.place, oldest)
    user = store.create_user("someone@gallery.example", "hash")
    store.audit("someone", "look", "nothing")
    with pytest.raises(LiveStoreError, match="migrate"):
        store.networks()
    store.migrate()
    assert store.users() == [user]
    assert len(store.audit_log()) == 1
    assert store.networks(user.id) == []
    store.close()


def test_a_database_of_a_newer_version_is_left_alone(url):
    store = Store(url)
    store.migrate()
    with store._writes() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LiveStoreError, match=r"9999.*update panic_assets"):
        store.migrate()
    store.close()


def test_a_migration_that_fails_half_way_leaves_no_table(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/live.db")
    with store._writes() as connection:
        connection.exec_driver_sql("CREATE TABLE installations (id TEXT)")
    with pytest.raises(LiveStoreError, match="already exists"):
        store.migrate()
    with store._reads() as connection:
        assert sa.inspect(connection).get_table_names() == ["installations"]
    store.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nothing", "no database address"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite:////proc/nowhere/live.db", "/proc/nowhere/live.db"),
        ("oracle+nothing://host/name", "no such kind of database"),
        ("postgresql+asyncpg://host/name", "driver of that database is not installed"),
    ],
)
def test_an_address_that_can_not_be_is_described(url, words):
    with pytest.raises(LiveStoreError, match=words):
        Store(url)


def test_a_file_that_is_no_database_is_described(tmp_path):
    (tmp_path / "live.db").write_text("a shopping list, " * 100)
    with pytest.raises(LiveStoreError, match=r"live\.db.*no database"):
        Store(f"sqlite:///{tmp_path}/live.db").migrate()
    assert (tmp_path / "live.db").read_text().startswith("a shopping list")


def test_a_locked_database_is_described_and_nothing_changes(tmp_path):
    with opened("sqlite", tmp_path) as store:
        _, run, genesis = begun(store)
        hasty = Store(str(store.url), patience_seconds=0.05)
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LiveStoreError, match=r"locked.*Nothing was changed"):
            hasty.claim(genesis.id)
        assert hasty.run(run.id) == run, "readers go on"
        other.execute("ROLLBACK")
        other.close()
        held = threading.Event(), threading.Event()

        def hold():
            with hasty._writes():
                held[0].set()
                held[1].wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        held[0].wait(30)
        with pytest.raises(LiveStoreError, match="locked by another thread"):
            hasty.claim(genesis.id)
        held[1].set()
        thread.join()
        assert hasty.claim(genesis.id), "after which it works again"
        hasty.close()


def test_a_full_disk_is_described_and_nothing_changes(tmp_path):
    with opened("sqlite", tmp_path) as store:
        _, run, _ = begun(store)
        with store._reads() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        full = Store(str(store.url))
        sa.event.listen(full._engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count={pages}").close())
        with pytest.raises(LiveStoreError, match="disk is full; free some space"):
            full.create_network("big", description="x" * 1_000_000)
        assert full.run(run.id) == run
        assert full.end_run(run.id, "stopped"), "small things still fit"
        assert len(full.networks()) == 1
        full.close()


def test_the_log_stays_small_while_rows_come_and_readers_read(tmp_path):
    with opened("sqlite", tmp_path) as store:
        network = store.create_network("ring", models=["one"])
        log = store.path.with_name("live.db-wal")
        largest = 0
        for number in range(50):
            run, _ = store.begin_run(network.id, f"{number} " * 30_000, "terminal", ["one"], "text")
            store.end_run(run.id, "stopped")
            assert store.current_run(network.id).id == run.id
            largest = max(largest, log.stat().st_size)
        assert store.path.stat().st_size + log.stat().st_size > 10_000_000
        assert largest < 6_000_000, "SQLite copies it back every 1,000 pages of 4 KiB"
        store.checkpoint()
        assert log.stat().st_size == 0
        assert len(store.runs(network.id, limit=1000)) == 50


def test_only_its_owner_may_read_the_database(tmp_path):
    with opened("sqlite", tmp_path) as store:
        begun(store)
        for name in ("live.db", "live.db-wal", "live.db-shm"):
            assert stat.S_IMODE(store.path.with_name(name).stat().st_mode) == 0o600
        copy = store.backup_to(tmp_path / "backups" / "live.db")
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_backup_is_whole_and_comes_back(tmp_path):
    with opened("sqlite", tmp_path / "here") as store:
        network, run, genesis = begun(store)
        user = store.create_user("someone@gallery.example", "hash")
        store.create_session(user.id, "token", store._now().replace(year=2030))
        backup = store.backup_to(tmp_path / "backup.db")
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["backup.db"]
        assert check_database(backup) == []
        with pytest.raises(LiveStoreError, match="exists already"):
            store.backup_to(backup)
        store.end_run(run.id, "stopped")
        store.create_network("made later")
        store.restore_from(backup)
        assert store.networks() == [network]
        assert store.running_runs() == [run]
        assert store.invocations(run.id) == [genesis]
        assert store.session("token") is None, "a session may have been revoked since"
        assert store.claim(genesis.id)
        with store._reads() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    with opened("sqlite", tmp_path / "there") as elsewhere:
        elsewhere.restore_from(backup)
        assert elsewhere.invocation(genesis.id) == genesis
        assert elsewhere.users() == [user]


def test_a_backup_of_an_older_version_is_migrated(tmp_path):
    old = Store(f"sqlite:///{tmp_path}/old.db")
    upgrade(old._engine, old.place, known_revisions()[-1])
    user = old.create_user("someone@gallery.example", "hash")
    backup = old.backup_to(tmp_path / "backup.db")
    old.close()
    with opened("sqlite", tmp_path / "here") as store:
        store.restore_from(backup)
        assert store.users() == [user]
        assert store.networks() == []


def test_what_is_no_sound_backup_is_refused_and_nothing_changes(tmp_path):
    def changed(name, *statements):
        path = tmp_path / name
        path.write_bytes(backup.read_bytes())
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
        return path

    with opened("sqlite", tmp_path / "here") as store:
        network, _, _ = begun(store)
        backup = store.backup_to(tmp_path / "backup.db")
        text = tmp_path / "list.txt"
        text.write_text("a shopping list, " * 100)
        other = tmp_path / "other.db"
        sqlite3.connect(other).execute("CREATE TABLE birds (name TEXT)").connection.close()
        torn = tmp_path / "torn.db"
        torn.write_bytes(backup.read_bytes()[:20_000])
        for path, words in (
            (tmp_path / "nowhere.db", "not there"),
            (text, "can't be read"),
            (other, "no live store"),
            (torn, "torn.db"),
            (changed("newer.db", "UPDATE alembic_version SET version_num = '9999'"), "newer version"),
            (changed("lost.db", "DROP TABLE installations"), "lacks the tables installations"),
            (changed("unversioned.db", "DELETE FROM alembic_version"), "of which version"),
            (changed("strays.db", "UPDATE runs SET network_id = 'gone'"), "rows of runs refer"),
        ):
            problems = check_database(path)
            assert problems
            assert words in problems[0]
            with pytest.raises(LiveStoreError, match="not restored"):
                store.restore_from(path)
        assert store.networks() == [network]


def test_a_restore_gives_up_when_others_do_not_stop_writing(tmp_path):
    with opened("sqlite", tmp_path) as store:
        network, _, _ = begun(store)
        backup = store.backup_to(tmp_path / "backup.db")
        hasty = Store(str(store.url), patience_seconds=0.05)
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LiveStoreError, match="locked"):
            hasty.restore_from(backup)
        other.execute("ROLLBACK")
        other.close()
        assert hasty.networks() == [network]
        hasty.close()


def test_a_server_is_backed_up_by_its_own_means(tmp_path):
    if "postgresql" not in KINDS:
        pytest.skip(f"the live store was tried on SQLite alone: no PostgreSQL server is named by ${SERVER}")
    with opened("postgresql", tmp_path) as store:
        with pytest.raises(LiveStoreError, match="pg_dump"):
            store.backup_to(tmp_path / "backup.db")
        with pytest.raises(LiveStoreError, match="pg_restore"):
            store.restore_from(tmp_path / "backup.db")

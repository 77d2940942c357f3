"""Dagster's storage in Postgres, as docs/dagster-postgres.yaml has it: one experiment, from its file to its catalog."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import pytest
import yaml

from panic_assets_tests.defs.daemon import ROOT, Daemon, running
from panic_assets_tests.defs.postgres import cluster, programs
from panic_assets_tests.laboratory import lake_of

SETTINGS = ROOT / "docs" / "dagster-postgres.yaml"


def test_it_is_dagster_yaml_but_for_the_storage() -> None:
    plain = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    variant = yaml.safe_load(SETTINGS.read_text())
    assert variant.pop("storage") == {"postgres": {"postgres_url": {"env": "PANIC_POSTGRES"}}}
    assert plain.pop("storage").keys() == {"sqlite"}
    assert variant == plain


@pytest.mark.skipif(programs() is None, reason="no Postgres on this machine (apt-get install postgresql)")
@pytest.mark.skipif(find_spec("dagster_postgres") is None, reason="no dagster-postgres (pip install '.[postgres]')")
def test_an_experiment_through_postgres(tmp_path: Path) -> None:
    found = programs()
    assert found is not None
    # Not below tmp_path, which the user postgres may not enter; and the path of a socket must be short.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with cluster(Path(folder) / "pg", found) as address:
            daemon = Daemon(tmp_path / "daemon", yaml.safe_load(SETTINGS.read_text()), PANIC_POSTGRES=address)
            with running(daemon):
                daemon.write("small")
                run = daemon.ended("small")
                assert run.status == dg.DagsterRunStatus.SUCCESS
                assert "postgres" in type(daemon.instance.event_log_storage).__module__
            assert lake_of(daemon.data).read("outcomes", "small").num_rows == 2
            assert not list(daemon.state.rglob("*.db"))  # nothing beside it in SQLite

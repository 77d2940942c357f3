"""The definitions as a code server loads them, what they import, and the configuration files around them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from panic_assets import definitions
from panic_assets.defs.assets import GPU_POOL
from panic_assets.lake.analysis_rules import DISTANCES, soundness_of
from panic_assets.lake.codec_rules import CODEC_RULES
from panic_assets.lake.rules import RULES
from panic_assets.lake.study_rules import DOUBTS, TIES
from panic_assets_tests.laboratory import ANALYSED, PARTITIONED

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers", "sentence_transformers", "open_clip", "matplotlib", "sklearn", "scipy")

# Asset: group, what it depends on, whether it has a partition for each experiment, kinds, checks.
GRAPH: dict[str, tuple[str, set[str], bool, set[str], set[str]]] = {
    "runs": ("loop", set(), True, {"parquet"}, {"every_run_has_its_prompt", "runs_are_distinct"}),
    "invocations": (
        "loop",
        {"runs"},
        True,
        {"parquet", "pytorch"},
        {"sequences_are_contiguous", "models_follow_the_ring", "outputs_are_there", "every_sound_is_stored"},
    ),
    "images": ("loop", {"runs"}, True, {"parquet"}, {"every_image_is_stored"}),
    "outcomes": (
        "loop",
        {"runs"},
        True,
        {"parquet"},
        {"every_run_has_an_outcome", "outcomes_agree_with_invocations"},
    ),
    "embeddings": (
        "loop",
        {"invocations", "images"},
        True,
        {"parquet", "pytorch"},
        {"embeddings_have_their_invocation", "embeddings_are_complete", "vectors_are_sound"},
    ),
    "persistence_diagrams": (
        "topology",
        {"embeddings"},
        True,
        {"parquet"},
        {
            "every_trajectory_has_its_diagrams",
            "features_agree_with_diagrams",
            "one_component_lives_for_ever",
            "bars_die_after_their_birth",
        },
    ),
    "diagram_distances": (
        "topology",
        {"persistence_diagrams"},
        True,
        {"parquet"},
        {"distances_are_distances"},
    ),
    "clusters": (
        "clustering",
        {"embeddings"},
        False,
        {"parquet"},
        {"assignments_have_their_cluster", "medoids_are_members", "cluster_sizes_add_up"},
    ),
    "catalog": (
        "catalog",
        {*PARTITIONED, *ANALYSED, "clusters", "compaction", "codec_report", "study_comparison"},
        False,
        {"duckdb"},
        set(),
    ),
    "codec_rate_distortion": ("codec", {"images"}, True, {"parquet"}, {"rates_are_sound"}),
    "codec_report": (
        "codec",
        {"codec_rate_distortion"},
        True,
        {"parquet"},
        {"comparisons_are_of_measured_codecs"},
    ),
    "study_trials": (
        "studies",
        set(),
        True,
        {"parquet", "pytorch"},
        {
            "every_trial_has_its_model_run",
            "every_artifact_has_its_origin",
            "every_trial_tells_its_constraint",
            "completed_trials_have_their_checkpoint",
        },
    ),
    "trial_metrics": (
        "studies",
        {"study_trials"},
        True,
        {"parquet"},
        {"every_metric_has_its_trial", "mlflow_agrees"},
    ),
    "lipschitz": (
        "studies",
        {"trial_metrics"},
        True,
        {"parquet"},
        {"every_bound_has_its_trial", "spectral_norms_keep_to_their_coefficient", "bounds_are_in_order"},
    ),
    "robustness": (
        "studies",
        {"lipschitz"},
        True,
        {"parquet"},
        {"every_robustness_has_its_trial", "certified_accuracy_is_no_promise_too_much"},
    ),
    "study_comparison": (
        "studies",
        {"robustness"},
        True,
        {"parquet"},
        {"comparisons_are_of_their_trials", "arms_and_pairs_are_complete"},
    ),
    "study_report": ("studies", {"study_comparison"}, True, set(), set()),
    "compaction": ("upkeep", set(), False, {"parquet"}, set()),
    "examination": ("upkeep", set(), False, set(), set()),
}


@pytest.fixture(scope="module")
def built() -> dg.Definitions:
    return definitions.build_defs()


def test_definitions_can_be_loaded(built: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(built)


def test_the_module_gives_one_set_of_definitions_to_the_code_server() -> None:
    """As a code server does it: find the loadable target in the module, and make a repository of it."""
    from dagster._core.code_pointer import CodePointer
    from dagster._core.definitions.reconstruct import initialize_repository_def_from_pointer
    from dagster._core.workspace.autodiscovery import loadable_targets_from_python_module

    (target,) = loadable_targets_from_python_module("panic_assets.definitions", working_directory=None)
    pointer = CodePointer.from_module("panic_assets.definitions", target.attribute, working_directory=None)
    repository = initialize_repository_def_from_pointer(pointer)
    assert {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()} == {*GRAPH, *ANALYSED}
    assert {"experiment", "nightly", "study", "codec", "live_ingestion"} <= {
        job.name for job in repository.get_all_jobs()
    }
    assert {schedule.name for schedule in repository.schedule_defs} == {"nightly", "live_runs_going_on"}
    sensors = {"experiment_files", "study_files", "failures", "follow_updates", "live_runs"}
    assert {sensor.name for sensor in repository.sensor_defs} == sensors


def test_the_graph(built: dg.Definitions) -> None:
    graph = built.resolve_asset_graph()
    found: dict[str, Any] = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        if node.group_name == "analyses":  # data: see test_analyses
            continue
        found[key.to_user_string()] = (
            node.group_name,
            {parent.to_user_string() for parent in node.parent_keys},
            node.partitions_def is not None,
            set(node.kinds),
            {check.name for check in node.check_keys},
        )
        assert node.description
        if node.partitions_def is not None:
            kind = "study" if node.group_name == "studies" else "experiment"
            assert node.partitions_def == dg.DynamicPartitionsDefinition(name=kind)
    assert found == GRAPH


def test_every_rule_is_a_check_that_blocks_but_for_doubts_about_studies(built: dg.Definitions) -> None:
    specs = [spec for checks in built.asset_checks or [] for spec in checks.check_specs]
    analysed = [soundness_of(name) for name in ANALYSED]
    telling = {rule.name for rule in DOUBTS} | {"mlflow_agrees"}
    blocking = sorted(rule.name for rule in (*RULES, DISTANCES, *analysed, *CODEC_RULES, *TIES))
    assert sorted(spec.name for spec in specs if spec.blocking) == blocking
    assert {spec.name for spec in specs if not spec.blocking} == telling
    assert all(spec.description for spec in specs)


def test_assets_that_use_models_or_take_times_share_a_pool(built: dg.Definitions) -> None:
    graph = built.resolve_asset_graph()
    pooled = {key.to_user_string() for key in graph.get_all_asset_keys() if GPU_POOL in (graph.get(key).pools or set())}
    assert pooled == {"invocations", "images", "outcomes", "embeddings", "codec_rate_distortion"}


def test_resources_can_be_replaced() -> None:
    from panic_assets.defs.resources import Laboratory

    other = Laboratory(data="elsewhere")
    assert (definitions.build_defs({"laboratory": other}).resources or {})["laboratory"] is other


def test_loading_definitions_imports_nothing_heavy() -> None:
    code = (
        "import sys, panic_assets.definitions as d; d.defs();"
        f"print([name for name in {(*HEAVY, 'gudhi', 'hdbscan', 'numba')!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_dagster_yaml_loads_and_keeps_state_out_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(ROOT))
    monkeypatch.setenv("PANIC_DAGSTER_STATE", str(tmp_path / "state"))
    before = sorted(path.name for path in ROOT.iterdir())

    @dg.asset(pool=GPU_POOL)
    def anything() -> None:
        """Writes to the event log and to the compute log."""
        print("a line for the compute log")

    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("experiment", ["small"])
        assert dg.materialize([anything], instance=instance).success
        assert instance.root_directory == str(tmp_path / "state")
        # One step that uses models at a time, in whatever process.
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        info = instance.event_log_storage.get_concurrency_info(GPU_POOL)
        assert (info.slot_count, info.claimed_slots) == (1, [])
        assert not instance.telemetry_enabled
        # Others may see that a run died; it is tried again, unless one of its steps failed.
        assert instance.run_launcher.supports_check_run_worker_health
        assert instance.run_monitoring_enabled
        assert instance.run_retries_max_retries == 3
        assert not instance.run_retries_retry_on_asset_or_op_failure
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 2
        assert queue.tag_concurrency_limits[0]["key"] == "dagster/partition"
    with dg.DagsterInstance.get() as instance:
        assert instance.get_dynamic_partitions("experiment") == ["small"]
    assert (tmp_path / "state" / "history").is_dir()
    assert sorted(path.name for path in ROOT.iterdir()) == before


def test_workspace_and_project_name_the_same_location() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (entry,) = workspace["load_from"]
    assert entry["python_module"] == {
        "module_name": f"{project['root_module']}.definitions",
        "location_name": project["code_location_name"],
    }
    assert definitions.__name__ == entry["python_module"]["module_name"]


def test_dagster_is_pinned_exactly() -> None:
    """dagster.yaml names private classes of it, and partitioned checks are a preview."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"]
    assert project["optional-dependencies"]["postgres"] == ["dagster-postgres==0.29.27"]
    assert f"dagster=={dg.__version__}" in wanted
    assert f"dagster-webserver=={dg.__version__}" in wanted
    assert os.path.exists(ROOT / "dagster.yaml")

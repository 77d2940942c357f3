"""The documented layouts of PANIC-TDA databases, each as the statements that create it. No tests here."""

from __future__ import annotations

# In the order in which production went through them; "created" is what a fresh installation of the last one makes.
PYTHON_VARIANTS = (
    "with_experiment_clusterings",
    "d5147590cfc2",
    "1038ac5c289b",
    "with_cluster_table",
    "f0ec8e9694a0",
    "83fb17def420",
    "9c62d27ee223",
    "caedeefdeae7",
    "migrated",
    "created",
)
REVISIONS = dict(zip(PYTHON_VARIANTS, PYTHON_VARIANTS, strict=True)) | {
    "with_experiment_clusterings": "initial",
    "with_cluster_table": "f102157468d4",
    "migrated": "c9611d0e807d",
}
ELIXIR_VERSIONS = {
    "seeds_2026_02": 20260202074101,
    "identities": 20260207043602,
    "single_network": 20260207053414,
    "networks": 20260207065950,
    "lyapunov": 20260327035722,
    "layer": 20260519064359,
    "final": 20260519233115,
}
ELIXIR_VARIANTS = tuple(ELIXIR_VERSIONS)


def python_layout(variant: str) -> list[str]:
    """Statements for one of PYTHON_VARIANTS."""
    step = PYTHON_VARIANTS.index(variant)
    fresh, strict = variant == "created", step >= 8
    stamp = "DATETIME NOT NULL" if fresh else "DATETIME DEFAULT (datetime('now')) NOT NULL" if strict else "DATETIME"
    uid = "UUID" if variant in ("with_cluster_table", "f0ec8e9694a0") else "CHAR(32)"
    sequence = ", CONSTRAINT unique_run_sequence_number UNIQUE (run_id, sequence_number)" if 7 <= step <= 8 else ""
    diagram = ", CONSTRAINT unique_run_embedding_model UNIQUE (run_id, embedding_model)" if 7 <= step <= 8 else ""
    vector = "BLOB NOT NULL" if variant == "migrated" else "BLOB"
    inline = ", CONSTRAINT unique_invocation_embedding_model UNIQUE (invocation_id, embedding_model)" if fresh else ""
    cluster = (
        "medoid_embedding_id CHAR(32)" if step >= 5 else f"cluster_id {uid if uid == 'UUID' else 'INTEGER'} NOT NULL"
    )
    extra = "experiment_id CHAR(32) NOT NULL, " if step == 0 else ""
    extra += "clusters JSON NOT NULL, " if step <= 3 else ""
    extra += "" if step < 2 else f"started_at {stamp}, completed_at DATETIME, "
    made = [
        "CREATE TABLE experimentconfig (id CHAR(32) NOT NULL PRIMARY KEY, networks JSON NOT NULL, seeds JSON NOT NULL, "
        "prompts JSON NOT NULL, embedding_models JSON NOT NULL, max_length INTEGER NOT NULL, started_at DATETIME, "
        "completed_at DATETIME)",
        "CREATE TABLE run (id CHAR(32) NOT NULL PRIMARY KEY, network JSON NOT NULL, seed INTEGER NOT NULL, "
        "max_length INTEGER NOT NULL, initial_prompt VARCHAR NOT NULL, "
        f"experiment_id CHAR(32){' NOT NULL' if strict else ''}, "
        "FOREIGN KEY(experiment_id) REFERENCES experimentconfig (id))",
        "CREATE INDEX ix_run_experiment_id ON run (experiment_id)",
        f"CREATE TABLE invocation (id CHAR(32) NOT NULL PRIMARY KEY, started_at {stamp}, completed_at DATETIME, "
        "model VARCHAR NOT NULL, type VARCHAR(5) NOT NULL, seed INTEGER NOT NULL, run_id CHAR(32) NOT NULL, "
        "sequence_number INTEGER NOT NULL, input_invocation_id CHAR(32), output_text VARCHAR, output_image_data BLOB"
        f"{sequence}, FOREIGN KEY(run_id) REFERENCES run (id))",
        "CREATE INDEX ix_invocation_run_id ON invocation (run_id)",
        "CREATE INDEX ix_invocation_input_invocation_id ON invocation (input_invocation_id)",
        f"CREATE TABLE embedding (id CHAR(32) NOT NULL PRIMARY KEY, started_at {stamp}, completed_at DATETIME, "
        f"invocation_id CHAR(32) NOT NULL, embedding_model VARCHAR NOT NULL, vector {vector}{inline}, "
        "FOREIGN KEY(invocation_id) REFERENCES invocation (id))",
        "CREATE INDEX ix_embedding_invocation_id ON embedding (invocation_id)",
        f"CREATE TABLE persistencediagram (id CHAR(32) NOT NULL PRIMARY KEY, started_at {stamp}, "
        "completed_at DATETIME, diagram_data BLOB, run_id CHAR(32) NOT NULL, embedding_model VARCHAR NOT NULL"
        f"{diagram}, FOREIGN KEY(run_id) REFERENCES run (id))",
        "CREATE INDEX ix_persistencediagram_run_id ON persistencediagram (run_id)",
        f"CREATE TABLE clusteringresult (id CHAR(32) NOT NULL PRIMARY KEY, created_at DATETIME NOT NULL, {extra}"
        "embedding_model VARCHAR NOT NULL, algorithm VARCHAR NOT NULL, parameters JSON NOT NULL)",
        f"CREATE TABLE embeddingcluster (id {uid} NOT NULL PRIMARY KEY, embedding_id {uid} NOT NULL, "
        f"clustering_result_id {uid} NOT NULL, {cluster}, "
        "CONSTRAINT unique_embedding_clustering UNIQUE (embedding_id, clustering_result_id))",
        "CREATE INDEX ix_embeddingcluster_embedding_id ON embeddingcluster (embedding_id)",
    ]
    if uid == "UUID":
        made.append(
            "CREATE TABLE cluster (id UUID NOT NULL PRIMARY KEY, clustering_result_id UUID NOT NULL, "
            "cluster_id INTEGER NOT NULL, medoid_embedding_id UUID, size INTEGER NOT NULL, properties JSON NOT NULL)"
        )
    if 6 <= step <= 8:
        made.append(
            "CREATE UNIQUE INDEX unique_invocation_embedding_model ON embedding (invocation_id, embedding_model)"
        )
    if not fresh:
        made.append("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        made.append(f"INSERT INTO alembic_version VALUES ('{REVISIONS[variant]}')")
    return made


def elixir_layout(variant: str) -> list[str]:
    """Statements for one of ELIXIR_VARIANTS."""
    step = ELIXIR_VARIANTS.index(variant)
    written = "updated_at TEXT NOT NULL, inserted_at TEXT NOT NULL"
    worked = f"{written}, completed_at TEXT, started_at TEXT NOT NULL"
    rings = "network TEXT NOT NULL" if variant == "single_network" else "networks TEXT NOT NULL"
    several = "seeds TEXT NOT NULL" if step < 2 else "num_runs INTEGER NOT NULL"
    seed = "seed INTEGER NOT NULL, " if step < 2 else ""
    layer = ", layer INTEGER DEFAULT 0 NOT NULL" if step >= 5 else ""
    of_experiment = ", experiment_id TEXT NOT NULL REFERENCES experiments(id)" if 1 <= step <= 5 else ""
    made = [
        "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, inserted_at TEXT)",
        f"CREATE TABLE experiments ({written}, completed_at TEXT, started_at TEXT, max_length INTEGER NOT NULL, "
        f"embedding_models TEXT NOT NULL, prompts TEXT NOT NULL, id TEXT NOT NULL PRIMARY KEY, {several}, {rings})",
        f"CREATE TABLE runs (experiment_id TEXT NOT NULL REFERENCES experiments(id), {written}, "
        f"initial_prompt TEXT NOT NULL, max_length INTEGER NOT NULL, {seed}network TEXT NOT NULL, "
        f"id TEXT NOT NULL PRIMARY KEY{'' if step < 2 else ', run_number INTEGER NOT NULL'})",
        "CREATE TABLE invocations (input_invocation_id TEXT REFERENCES invocations(id), "
        f"run_id TEXT NOT NULL REFERENCES runs(id), {worked}, output_image BLOB, output_text TEXT, "
        f"sequence_number INTEGER NOT NULL, {seed}type TEXT NOT NULL, model TEXT NOT NULL, "
        "id TEXT NOT NULL PRIMARY KEY)",
        f"CREATE TABLE embeddings (invocation_id TEXT NOT NULL REFERENCES invocations(id), {worked}, "
        "vector BLOB NOT NULL, embedding_model TEXT NOT NULL, id TEXT NOT NULL PRIMARY KEY)",
        f"CREATE TABLE persistence_diagrams (run_id TEXT NOT NULL REFERENCES runs(id), {worked}, diagram_data BLOB, "
        "embedding_model TEXT NOT NULL, id TEXT NOT NULL PRIMARY KEY)",
        f"CREATE TABLE clustering_results ({worked}, parameters TEXT DEFAULT '{{}}', algorithm TEXT NOT NULL, "
        f"embedding_model TEXT NOT NULL, id TEXT NOT NULL PRIMARY KEY{of_experiment}{layer})",
        "CREATE TABLE embedding_clusters (medoid_embedding_id TEXT REFERENCES embeddings(id), "
        "clustering_result_id TEXT NOT NULL REFERENCES clustering_results(id), "
        f"embedding_id TEXT NOT NULL REFERENCES embeddings(id), {written}, id TEXT NOT NULL PRIMARY KEY)",
        "CREATE UNIQUE INDEX persistence_diagrams_unique_run_model_index "
        "ON persistence_diagrams (run_id, embedding_model)",
        "CREATE UNIQUE INDEX embeddings_unique_invocation_model_index ON embeddings (invocation_id, embedding_model)",
        "CREATE UNIQUE INDEX embedding_clusters_unique_embedding_clustering_index "
        "ON embedding_clusters (embedding_id, clustering_result_id)",
    ]
    if step >= 1:
        own = "seed" if step < 2 else "run_number"
        network = "network, " if step >= 3 else ""
        made.append(
            "CREATE UNIQUE INDEX runs_unique_experiment_run_index "
            f"ON runs (experiment_id, {network}initial_prompt, {own})"
        )
        made.append(
            "CREATE UNIQUE INDEX invocations_unique_run_sequence_index ON invocations (run_id, sequence_number)"
        )
    if step >= 4:
        made.append(
            f"CREATE TABLE lyapunov_results (experiment_id TEXT NOT NULL REFERENCES experiments(id), {worked}, "
            "lyapunov_data BLOB, prompt TEXT NOT NULL, network TEXT NOT NULL, embedding_model TEXT NOT NULL, "
            "id TEXT NOT NULL PRIMARY KEY)"
        )
    if step == 6:
        made.append(
            "CREATE UNIQUE INDEX clustering_results_unique_layer_index "
            "ON clustering_results (embedding_model, algorithm, layer)"
        )
    stamps = [v for v in ELIXIR_VERSIONS.values() if v <= ELIXIR_VERSIONS[variant]]
    made += [f"INSERT INTO schema_migrations VALUES ({v}, '2026-02-07T00:00:00')" for v in stamps]
    return made

"""The history of the tables. Here belong migrations, run by `panic_assets.live.store.migrating`, and nothing else."""

"""What every test shares: one torch thread, no network, a data directory of its own."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path

import pytest

# Several tests at a time on few cores: more threads each only make them wait for one another.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Workers and the hundreds of processes that tests start would each compile the whole package and its tests again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


#: Files whose tests take longest and can't be divided, the longest first: so nothing else waits for them at the end.
_LONGEST = (
    # The second makes what all tests of the command line copy.
    *("test_daemon.py", "test_running.py", "test_other_models.py", "test_doctor.py", "test_backup.py"),
    *("test_postgres.py", "test_keeping.py", "test_killed.py", "test_automation.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; xdist hands files out in this order (`--no-loadscope-reorder`)."""
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A run of Dagster that was given up in its middle leaves its handler behind, which swallows later interrupts."""
    left = signal.getsignal(signal.SIGINT)
    if callable(left) and left is not signal.default_int_handler:
        told = getattr(left, "__qualname__", repr(left))
        warnings.warn(f"before {item.nodeid} interrupts were still taken by {told}", pytest.PytestWarning, stacklevel=1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupts = sys.modules.get("dagster._utils.interrupts")
    if interrupts is not None:
        interrupts._received_interrupt["received"] = False


@pytest.fixture(autouse=True)
def _width_of_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of xdist is told how wide the terminal is; tests say themselves how wide theirs is."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory that ``PANIC_DATA`` names."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("PANIC_DATA", str(folder))
    return folder

"""What every benchmark needs: processor time, peak memory in a fresh process, and Markdown to write down.

Here belongs nothing that knows what is measured.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_ROOT = Path(__file__).resolve().parent.parent
RESULTS = _ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Cost:
    """Processor seconds (all threads), wall seconds, and growth of the peak memory in MiB (None: not taken)."""

    cpu_seconds: float
    wall_seconds: float
    peak_mib: float | None = None


def measure(action: Callable[[], _Result]) -> tuple[_Result, Cost]:
    """Run ``action`` once in this process and return its result and cost, memory not included."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    return result, Cost(time.process_time() - cpu, time.perf_counter() - wall)


def measure_in_child(target: str, *arguments: Any) -> Cost:
    """Measure one call, memory included, in a fresh process.

    Args:
        target: ``"module:function"``. The function gets ``arguments`` and does its imports and preparations, which are
            not measured, and returns the action to measure: a callable without arguments.
        arguments: anything JSON can carry.

    Returns:
        The cost. ``peak_mib`` is how far the peak resident memory during the action exceeds the resident memory at its
        start; Linux only, None elsewhere.
    """
    completed = subprocess.run(
        [sys.executable, "-m", "benchmarks.common", target, json.dumps(arguments)],
        cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)])},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return Cost(**json.loads(completed.stdout.splitlines()[-1]))


def machine() -> str:
    """Describe the processor, cores, memory, system and present load in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model}, {cores()} of {os.cpu_count()} cores used, {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}; load average {os.getloadavg()[0]:.1f} at the start"
    )


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions(*packages: str) -> str:
    """List installed packages and their versions in one line."""
    return ", ".join(f"{package} {version(package)}" for package in packages)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a Markdown table; numbers are rounded to three significant digits."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def write_results(path: Path, title: str, sections: Iterable[str]) -> None:
    """Write one Markdown file: a heading, and the sections with blank lines between them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([f"# {title}", *sections]) + "\n", encoding="utf-8")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return "" if value is None else str(value)


def _resident_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def _measure_here(target: str, arguments: Sequence[Any]) -> Cost:
    module, function = target.split(":")
    action = getattr(importlib.import_module(module), function)(*arguments)
    if not Path("/proc/self/clear_refs").exists():
        return measure(action)[1]
    # Imports may have had a higher peak than what is measured: 5 resets the peak to the present size.
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident_kib("VmRSS")
    cost = measure(action)[1]
    return Cost(cost.cpu_seconds, cost.wall_seconds, max(0, _resident_kib("VmHWM") - before) / 1024)


if __name__ == "__main__":
    print(json.dumps(asdict(_measure_here(sys.argv[1], json.loads(sys.argv[2])))))

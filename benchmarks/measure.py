"""What all benchmarks share: peak memory, the name of the processor, rows of ``results.csv``."""

import csv
import datetime
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

COLUMNS = ("op", "implementation", "shape", "hardware", "versions", "p20_s", "p50_s", "p80_s", "peak_mib", "date")


def append(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Append rows of all columns but the date to the table at ``path``, made if it is not there."""
    new = not path.exists()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerows([*row, today] for row in rows)


def versions(*packages: str) -> str:
    """Return ``python 3.12.1 torch 2.8.0 ...``."""
    return " ".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])


def processor() -> str:
    """Return the model name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def held() -> float:
    """Return what this process holds in memory now, in MiB (Linux; elsewhere the most it ever held)."""
    return _status("VmRSS")


def reset_peak() -> None:
    """Forget the highest memory so far (Linux only)."""
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """Return the most this process held since the last reset, in MiB."""
    return _status("VmHWM")


def _status(key: str) -> float:
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith(key))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

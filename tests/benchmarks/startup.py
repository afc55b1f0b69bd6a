"""How long ``curate --help`` takes, beside a Python that imports click alone. Run by ``make bench``."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median


def seconds(*arguments: str) -> float:
    """Wall time of one fresh interpreter."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begun


def main(rounds: int = 9) -> None:
    """Print both, the best and the median of some rounds in turn, and their ratio."""
    ours, alone = [], []
    for _ in range(rounds):
        ours.append(seconds("-m", "curate.cli.main", "--help"))
        alone.append(seconds("-c", "import click"))
    print(f"curate --help: best {min(ours):.3f} s, median {median(ours):.3f} s; import click: {median(alone):.3f} s;")
    print(f"ratio of the medians {median(ours) / median(alone):.2f}; wanted: under 0.3 s")


if __name__ == "__main__":
    main()

"""Progress on stderr: rates and the time left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.profiling import Report
    from curate.scheduler import Tally


@contextmanager
def bar() -> Iterator[Report]:
    """A tqdm bar over rollouts; yields what is to be called with the running totals."""
    from tqdm import tqdm

    # In a log file a line every ten seconds is enough.
    interval = 0.2 if sys.stderr.isatty() else 10.0
    with tqdm(unit=" rollouts", file=sys.stderr, mininterval=interval, dynamic_ncols=True, smoothing=0.1) as shown:

        def report(tally: Tally) -> None:
            shown.total = tally.expected
            shown.set_postfix(_postfix(tally, shown.format_dict["elapsed"]), refresh=False)
            shown.update(tally.drawn - shown.n)

        yield report


def _postfix(tally: Tally, elapsed: float) -> dict[str, str]:
    said = {
        "pass": f"{tally.passes / tally.drawn:.2f}" if tally.drawn else "-",
        "tok/s": f"{tally.completion_tokens / elapsed:,.0f}" if elapsed else "-",
    }
    if tally.failed_requests:
        said["failed requests"] = str(tally.failed_requests)
    if tally.judged_again:
        said["judged again"] = f"{tally.judged_again:,}"
    return said

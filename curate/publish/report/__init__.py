"""The report: one self-contained HTML page that shows what a profile kept and why.

Owns the call and the file. Must not sample, verify or audit: it reads what a profile holds, and needs no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate import durable
from curate.errors import UsageError
from curate.ledger import Ledger
from curate.publish.report import data, page
from curate.reprofile.drift import compare
from curate.reprofile.history import history


@dataclass(frozen=True)
class Page:
    """What was written."""

    path: Path
    bytes: int
    problems: int
    kept: int
    rollouts: int
    """Judged rollouts that it was made from; 0 where they are not on this disk, and the page shows none."""
    cap: int | None
    """Characters that each text in a drawer was cut to, so that the page stays small; None where all are whole."""
    audit: str
    """``current``, ``outdated`` or ``none``, as in ``viewing.Overview``."""


def report(
    profile: str | Path,
    *,
    to: str | Path | None = None,
    since: Sequence[str | Path] = (),
) -> Page:
    """Write the page of a profile: one HTML file, with no need of a network or of anything beside it.

    It holds the verdict, the pass rates with a band that can be dragged, why problems were left out, how sure all of it
    is, what an audit found, lengths, what groups would look like, and every problem with a passing and a failing
    rollout. Texts are cut so that it stays under 15 MB with up to about a hundred thousand problems; the page says so.
    The same profile gives the same bytes.

    Args:
        profile: The profile's folder. Its audit and its rollouts are shown where there are any.
        to: The file, ending in ``.html`` or ``.htm``; None is ``report.html`` in the profile's folder. An older one is
            replaced.
        since: Profiles of the same problems at earlier checkpoints, oldest first: the page shows what moved since the
            last of them, and the band over all of them. Without any, the history that the profile itself holds.

    Raises:
        UsageError: the file's name is not that of a page, or an earlier profile has no problem in common.
        LedgerError: there is no finished profile there, or the file cannot be written.
    """
    target = Path(profile) / "report.html" if to is None else Path(to)
    if target.suffix.lower() not in (".html", ".htm") or target.is_dir():
        raise UsageError("a report is a file that ends in .html", where=str(target), hint="--to FILE.html")
    Ledger(profile).manifest()  # what is no profile is told so, before anything is compared with it
    moved = compare(since[-1], profile) if since else None
    known = history([*since, profile])
    content = data.build(profile, moved, known if len(known) > 1 else None)
    text = page.render(content).encode()
    durable.write(target, lambda file: file.write_bytes(text))
    summary = content.overview.summary
    return Page(
        path=target,
        bytes=len(text),
        problems=summary.problems,
        kept=summary.kept,
        rollouts=content.rollouts,
        cap=content.cuts.drawer,
        audit=content.overview.audit,
    )

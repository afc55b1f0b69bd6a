"""What the commands on several profiles print for a person: what moved between two, and what is due.

Must not compute: it is given the numbers. Plain and unbroken when piped.
"""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from curate.cli.texts import print_table, terminal
from curate.reprofile.drift import OUTCOMES, Change, Comparison, Side
from curate.reprofile.schedules import Schedule

ITEM_MEANING = {
    "all": "every problem",
    "anchors": "tell what else is due",
    "unfinished": "broken off",
    "straddling": "the outcome may have changed",
    "untrusted": "moved unlike the rest",
    "quarantined": "look again",
}
"""What is due, in words."""


def print_comparison(found: Comparison, limit: int, console: Console | None = None) -> None:
    """Print what moved: both profiles, the matrix of outcomes, regressions and gains, and the groups."""
    out = console or terminal()
    for name, side in (("before", found.before), ("after", found.after)):
        out.print(f"[dim]{name:7}[/dim]{_told(side)}", soft_wrap=True)
    for warning in found.warnings:
        out.print(f"[yellow]warning[/yellow] {escape(warning)}", soft_wrap=True)
    more = [
        f"{count:,} {what}"
        for count, what in (
            (found.only_before, "only before"),
            (found.only_after, "only after"),
            (found.common - found.compared, "without a scored rollout in both"),
            (found.by_content, "matched by content"),
        )
        if count
    ]
    out.print(f"{found.common:,} common problems{'; ' + ', '.join(more) if more else ''}\n")
    if found.mean_change is not None:
        out.print(
            f"mean pass rate {found.before.mean_pass_rate:.3f} -> {found.after.mean_pass_rate:.3f} "
            f"({found.mean_change:+.3f}, 95% interval {found.mean_low:+.3f} to {found.mean_high:+.3f})"
        )
        out.print(
            f"[red]{found.fell:,} fell[/red], [green]{found.rose:,} rose[/green] at a false discovery rate of "
            f"{found.fdr:g}; about {found.share_changed:.0%} changed, named or not",
            soft_wrap=True,
        )
    out.print(f"{len(found.entered):,} entered the band, {len(found.left):,} left it\n")
    seen = [name for name in OUTCOMES if any(found.migration[name].values())]
    seen += [name for name in OUTCOMES if name not in seen and any(row[name] for row in found.migration.values())]
    table = _table("outcome before", *(f"now {name}" for name in seen))
    for name in seen:
        table.add_row(name, *(f"{found.migration[name][now]:,}" for now in seen))
    print_table(table, out)
    _print_changes([one for one in found.changes if one.fell], "fell", limit, out)
    _print_changes([one for one in found.changes if one.rose], "rose", limit, out)
    if found.groups:
        table = _table(
            found.group_key or "", "problems", "before", "after", "change", "fell", "rose", "entered", "left"
        )
        for group in found.groups:
            half = (group.high - group.low) / 2
            table.add_row(
                escape(group.name),
                f"{group.problems:,}",
                f"{group.before:.3f}",
                f"{group.after:.3f}",
                f"{group.after - group.before:+.3f} ±{half:.3f}",
                *(f"{count:,}" for count in (group.fell, group.rose, group.entered, group.left)),
            )
        out.print()
        print_table(table, out)


def _told(side: Side) -> str:
    step = "" if side.step is None else f", step {side.step:,}"
    return f"{escape(str(side.path))}: {escape(side.model)} at {side.revision[:20]}{step}, {side.in_band:,} in the band"


def _print_changes(changes: list[Change], word: str, limit: int, out: Console) -> None:
    if not changes:
        return
    table = _table(word, "passes was", "now", "change", "95% interval", "q", "outcome")
    for one in changes[:limit]:
        moved = one.after if one.before == one.after else f"{one.before} -> {one.after}"
        table.add_row(
            escape(one.problem_id),
            f"{one.k_before}/{one.n_before}",
            f"{one.k_after}/{one.n_after}",
            f"{one.difference:+.3f}",
            f"{one.low:+.2f}..{one.high:+.2f}",
            f"{one.q:.3f}",
            moved,
        )
    out.print()
    print_table(table, out)
    if len(changes) > limit:
        out.print(f"[dim]{len(changes) - limit:,} more: --json lists them all[/dim]")


def _table(name: str, *headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(name, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "outcome" else "right", no_wrap=True)
    return table


def print_schedule(found: Schedule, console: Console | None = None) -> None:
    """Print what is due: one line where nothing is; else why, what, and what it would cost."""
    out = console or terminal()
    if not found.due:
        out.print(f"nothing is due: {escape('; '.join((*found.reasons, *found.notes)))}", soft_wrap=True)
        return
    step = "" if found.target.step is None else f", step {found.target.step:,}"
    out.print(f"[bold]due[/bold]: {escape('; '.join(found.reasons))}", soft_wrap=True)
    out.print(f"checkpoint: {escape(found.target.path)} at {(found.target.revision or 'unknown')[:20]}{step}\n")
    table = _table("what", "problems", "of all", "rollouts", "tokens")
    table.add_column("")
    for item in found.items:
        table.add_row(
            item.kind,
            f"{item.problems:,}",
            f"{item.problems / found.problems:.0%}" if found.problems else "-",
            "unknown" if item.rollouts is None else f"{item.rollouts:,}",
            "unknown" if item.tokens is None else f"{item.tokens:,}",
            f"[dim]{ITEM_MEANING[item.kind]}[/dim]",
        )
    print_table(table, out)
    if found.measured:
        out.print(f"measured already: {found.measured:,} problems")
    out.print(_duration(found.seconds))
    for note in found.notes:
        out.print(f"[dim]{escape(note)}[/dim]", soft_wrap=True)
    if found.into is not None:
        out.print(f"into: {found.into}", soft_wrap=True)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "how long it takes is unknown: no speed was measured there"
    if seconds < 60:
        return "less than a minute at the speed measured there"
    told = f"{seconds / 60:,.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
    return f"about {told} at the speed measured there"


def tell_stage(found: Schedule) -> None:
    """Say on stderr what a stage of ``--run`` is about to draw."""
    told = ", ".join(f"{item.problems:,} {item.kind}" for item in found.items)
    Console(stderr=True, highlight=False).print(f"profiling {told} into {found.into}", soft_wrap=True)

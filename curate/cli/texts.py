"""What commands print for a person: the summary of a profile, what an audit found, what a verifier changes.

Must not compute: it is given the numbers. Plain and unbroken when piped; what a model or a dataset wrote goes through
``curate.visible`` first, because an escape sequence in a completion would drive the terminal.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from curate.auditing import FLAGS, Audit
from curate.decide import NEXT_STEP
from curate.records import Reason
from curate.summary import Summary
from curate.verifying import Verification
from curate.viewing import FLAG_MEANING, MEANING
from curate.visible import excerpt, visible

UNBROKEN = 10_000
"""Columns of what is piped: more than any line has."""


def terminal() -> Console:
    """A console that leaves texts as they are: no emoji codes, no highlighting; lines unbroken when it is piped."""
    out = Console(highlight=False, emoji=False)
    if not out.is_terminal:
        out.width = UNBROKEN
    return out


def print_table(table: Table, out: Console) -> None:
    """Print a table; where it is piped as wide as it needs to be, and no line ends in spaces."""
    if out.is_terminal:
        out.print(table)
        return
    plain = Console(file=io.StringIO(), width=UNBROKEN, highlight=False, emoji=False, force_terminal=False)
    with plain.capture() as captured:
        plain.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    out.print("\n".join(lines), markup=False, soft_wrap=True)


def print_summary(summary: Summary, console: Console | None = None) -> None:
    """Print where a profile stands: what was kept, and why the rest was not."""
    out = console or terminal()
    band = summary.band
    out.print(
        f"[bold]{escape(visible(summary.name))}[/bold]: [bold green]{summary.kept:,}[/bold green] of "
        f"{summary.problems:,} problems kept, in the band [bold]\\[{band.low:g}, {band.high:g}][/bold] "
        f"at confidence {band.confidence:g}"
    )
    print_counts(summary, out)


def print_counts(summary: Summary, out: Console) -> None:
    """Print the rollouts of a profile, and its excluded problems by reason, each with its next step."""
    passing = f"{summary.passes / summary.scored:.1%} of them pass" if summary.scored else "none scored"
    more = [f"{count:,} {what}" for count, what in _rare(summary) if count]
    out.print(f"{summary.rollouts:,} rollouts, {passing}{'; ' + ', '.join(more) if more else ''}\n")
    table = Table(box=None, pad_edge=False, header_style="dim")
    # Where problems have several reasons, a second column counts each problem once, so that it adds up.
    overlap = sum(summary.reasons.values()) > sum(summary.main_reasons.values())
    for heading in ("why not kept", "problems", *(["mainly"] if overlap else []), "next step", ""):
        table.add_column(heading, justify="right" if heading in ("problems", "mainly") else "left")
    for reason, count in summary.reasons.items():
        mainly = [f"{summary.main_reasons.get(reason, 0):,}"] if overlap else []
        table.add_row(reason, f"{count:,}", *mainly, NEXT_STEP[Reason(reason)], f"[dim]{MEANING[reason]}[/dim]")
    if summary.reasons:
        print_table(table, out)
        steps = ", ".join(f"{step} {count:,}" for step, count in summary.next_steps.items())
        out.print(f"\nnext steps: {steps}")
    out.print(f"profile: {summary.path}", soft_wrap=True, markup=False)


def untold(unknown: Sequence[str]) -> str:
    """The entries of a protocol that a log does not tell, each room of it once."""
    rooms: dict[str, list[str]] = {}
    for name in unknown:
        room, _, entry = name.partition(".")
        rooms.setdefault(room, []).append(entry)
    whole = {"model": 3, "prompt": 3, "sampling": 5}
    return ", ".join(
        room if len(entries) == whole.get(room) else f"{room} ({', '.join(entries)})" for room, entries in rooms.items()
    )


def _rare(summary: Summary) -> list[tuple[int, str]]:
    return [(summary.truncated, "cut at the length limit"), (summary.unscored, "without a verdict")]


def print_audit(found: Audit, console: Console | None = None) -> None:
    """Print what an audit saw in the passes, which references to look at, and where the profile stands then."""
    out = console or terminal()
    share = f" ({found.spoken_of / found.passes:.0%})" if found.passes else ""
    out.print(
        f"{found.rollouts:,} rollouts read; of {found.passes:,} passes {found.spoken_of:,}{share} state a step that "
        f"can be checked, and {found.flagged['any']:,} are flagged"
    )
    if found.unmeasured:
        out.print(f"[yellow]{found.unmeasured:,} rollouts could not be measured: see audit_error[/yellow]")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("why flagged", "passes", ""):
        table.add_column(heading, justify="right" if heading == "passes" else "left")
    for flag in (name for name in FLAGS if found.flagged[name] or not name.startswith(("unneeded", "refuted"))):
        table.add_row(flag, f"{found.flagged[flag]:,}", f"[dim]{FLAG_MEANING[flag]}[/dim]")
    print_table(table, out)
    if found.probes:
        out.print("probes used: " + ", ".join(f"{kind} {count:,}" for kind, count in found.probes.items()))
    if found.cot_pass is not None:
        k, passing, reasoned = found.cot_pass
        out.print(f"Pass@{k} {passing:.3f}, CoT-Pass@{k} {reasoned:.3f}: with right reasoning, by the judge")
    if found.guess_verdicts:
        out.print(
            "\nproblems that can be guessed: "
            + ", ".join(f"{count:,} {v}" for v, count in found.guess_verdicts.items())
        )
    if found.suspects:
        out.print()
        table = _plain_table("references to look at", "wrong?", "reference", "reached", "others", "why")
        for one in found.suspects:
            others = ", ".join(f"{excerpt(answer, 20)} x{count}" for answer, count in one.competing[:3])
            table.add_row(
                escape(visible(one.problem_id)),
                f"{one.probability:.3f}",
                escape(excerpt(" | ".join(one.references), 30)),
                f"{one.reached}",
                escape(others),
                one.why,
            )
        print_table(table, out)
        out.print("[dim]a queue for a person: strong models agree on wrong answers too[/dim]")
    out.print(f"\nkept: {found.kept_before:,} by the band, {found.summary.kept:,} after the audit\n")
    print_summary(found.summary, out)


def print_verification(found: Verification, limit: int = 20, console: Console | None = None) -> None:
    """Print what a verifier changes: the table of verdicts, references it cannot use, outcomes that flip, examples."""
    out = console or terminal()
    changes = found.changes
    out.print(
        f"[bold]{escape(visible(found.verifier))}[/bold]: {found.judged:,} of {changes.rollouts:,} rollouts judged "
        f"now, {found.compared:,} answers compared and {found.reused:,} known\n"
    )
    table = _plain_table("verdicts", *(f"now {kind}" for kind in changes.verdicts))
    for kind, row in changes.verdicts.items():
        table.add_row(f"was {kind}", *(f"{count:,}" for count in row.values()))
    print_table(table, out)
    out.print(f"{changes.changed:,} verdicts changed; problems kept: {changes.kept_before:,} -> {changes.kept_after:,}")
    if found.bad_references:
        table = _plain_table("references that fail it", "", "why", right=False)
        for bad in found.bad_references[:limit]:
            table.add_row(
                escape(visible(bad.problem_id)),
                escape(excerpt(" | ".join(bad.references), 100)),
                escape(visible(bad.why)),
            )
        out.print()
        print_table(table, out)
        _say_more(out, len(found.bad_references), limit)
    if changes.flips:
        table = _plain_table("outcomes that flip", "was", "now", "passes was", "now", "pass rate was", "now")
        for flip in changes.flips[:limit]:
            table.add_row(
                escape(visible(flip.problem_id)),
                flip.before,
                flip.after,
                f"{flip.passes_before}/{flip.scored_before}",
                f"{flip.passes_after}/{flip.scored_after}",
                *("-" if rate is None else f"{rate:.3f}" for rate in (flip.pass_rate_before, flip.pass_rate_after)),
            )
        out.print()
        print_table(table, out)
        _say_more(out, len(changes.flips), limit)
    for example in changes.examples:
        out.print(f"\n[bold]{escape(visible(example.problem_id))}[/bold] #{example.index}")
        # Without markup: it would take the backslash of LaTeX's \[ for its own.
        out.print(f"  reference: {excerpt(' | '.join(example.references), 100)}", markup=False, soft_wrap=True)
        for name, said in (("was", example.before), ("now", example.after)):
            answer = "no answer" if said.answer is None else excerpt(said.answer, 100)
            out.print(f"  {name} {said.verdict}: {answer} ({visible(said.reason)})", markup=False, soft_wrap=True)
        out.print(f"  ...{visible(example.tail)}", markup=False, soft_wrap=True, style="dim")
    out.print()
    if found.summary is not None:
        print_summary(found.summary, out)
    else:
        out.print("the profile still goes by its own verdicts; --adopt lets it go by these")


def _plain_table(name: str, *headings: str, right: bool = True) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(name)
    for heading in headings:
        table.add_column(heading, justify="right" if right else "left")
    return table


def _say_more(out: Console, count: int, limit: int) -> None:
    if count > limit:
        out.print(f"[dim]{count - limit:,} more: --json lists them all[/dim]")

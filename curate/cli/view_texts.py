"""What ``curate show`` prints: a profile at a glance, and one problem with its rollouts.

Must not compute: it is given the numbers. Texts of models and datasets go through ``curate.visible`` and are printed
without markup, which would take the backslash of LaTeX's ``\\[`` for its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from curate.cli.texts import print_counts, print_table, terminal, untold
from curate.viewing import FLAG_MEANING, Overview, ProblemView
from curate.visible import excerpt, visible

BAR = 40
"""Characters of the histogram's longest bar."""


def page(print_to: Callable[[Console], None], *, pager: bool) -> None:
    """Print, through a pager where a terminal shows it and it is longer than the screen; plain where it is piped.

    Args:
        print_to: Prints on the console that it is given.
        pager: Whether a pager may be used.
    """
    out = terminal()
    with out.capture() as captured:
        print_to(out)
    text = captured.get()
    if pager and out.is_terminal and text.count("\n") >= out.size.height:
        click.echo_via_pager(text, color=True)
    else:
        click.echo(text, nl=False)


def print_overview(view: Overview, out: Console) -> None:
    """Print a profile at a glance: the verdict, the reasons, the shape of its pass rates, how sure all of it is."""
    summary = view.summary
    model = f"{view.model['path']} at {view.model['revision'][:20]}, {view.updated}"
    out.print(f"[bold]{escape(visible(summary.name))}[/bold]  [dim]{escape(visible(model))}[/dim]")
    if view.imported is not None:
        _print_imported(view.imported, out)
    out.print(escape(view.verdict))
    if view.audit != "current" and (view.imported is None or view.imported["texts"]):
        said = {"none": "not audited", "outdated": "the audit is of other rollouts and was not used"}[view.audit]
        out.print(f"[yellow]{said}[/yellow]: curate audit {escape(str(summary.path))}", soft_wrap=True)
    out.print("\noutcomes: " + ", ".join(f"{name} {count:,}" for name, count in summary.outcomes.items()))
    print_counts(summary, out)
    _print_sureness(view, out)
    _print_audit(view, out)
    _print_histogram(view, out)
    if view.families:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column(view.family_key or "")
        for heading in ("problems", "kept", "mean pass rate"):
            table.add_column(heading, justify="right")
        for name, problems, kept, rate in view.families:
            table.add_row(
                escape(excerpt(str(name), 60)), f"{problems:,}", f"{kept:,}", "-" if rate is None else f"{rate:.3f}"
            )
        out.print()
        print_table(table, out)
    out.print(f"\na page of all this: curate report {summary.path}", soft_wrap=True, markup=False)


def _print_imported(told: dict[str, Any], out: Console) -> None:
    """Where an imported profile's rollouts came from, and what nobody knows of them."""
    step = f", step {told['step']}" if told["step"] is not None else ""
    texts = "" if told["texts"] else ", counts without texts"
    out.print(f"[dim]imported from {escape(visible(told['format']))}{step}{texts}[/dim]")
    if told["unknown"]:
        out.print(f"[dim]the log does not tell: {untold(told['unknown'])}[/dim]")


def _print_sureness(view: Overview, out: Console) -> None:
    sure = view.sureness
    if sure.half_width is None:
        return
    kept = (
        f"; of the {view.summary.kept:,} kept expect {sure.outside:.1f} outside the band" if view.summary.kept else ""
    )
    out.print(
        f"\n[bold]how sure[/bold]: the median 95% interval is the pass rate ± {sure.half_width:.2f}; "
        f"{sure.undecided:,} undecided{kept}"
    )


def _print_audit(view: Overview, out: Console) -> None:
    if view.risk:
        said = {"sampled": "all sampled", "in_band": "in the band", "kept": "kept"}
        risks = ", ".join(f"{said[name]} {risk:.3f}" for name, risk in view.risk.items())
        out.print(f"[bold]risk[/bold] that a group's lone pass is a shortcut, weighed by its advantage: {risks}")
    if view.suspects:
        first = ", ".join(f"{excerpt(name, 40)} ({wrong:.2f})" for name, wrong in view.suspects[:5])
        more = f" and {len(view.suspects) - 5:,} more" if len(view.suspects) > 5 else ""
        out.print(f"[bold]references to look at[/bold] (probability of being wrong): {escape(first)}{more}")


def _print_histogram(view: Overview, out: Console) -> None:
    out.print("\n[bold]pass rates[/bold]")
    most = max((*view.histogram, 1))
    band = view.summary.band
    # A terminal that cannot draw blocks gets signs.
    block, sliver, edge = ("█", "▏", "│") if out.encoding.lower().startswith("utf") else ("#", ".", "|")
    for position, count in enumerate(view.histogram):
        low, high = position / len(view.histogram), (position + 1) / len(view.histogram)
        inside = band.low <= (low + high) / 2 <= band.high
        bar = block * round(BAR * count / most) or sliver * (count > 0)
        drawn = f"{edge if inside else ' '} {bar}".rstrip()
        shape = f" [{'green' if inside else 'dim'}]{drawn}[/]" if drawn else ""
        out.print(f"{low:.2f}-{high:.2f}{shape}{f' {count}' if count else ''}")


def print_problem(view: ProblemView, limit: int, out: Console) -> None:
    """Print one problem with its first rollouts, passes first."""
    problem, estimate = view.problem, view.estimate
    out.print(f"[bold]{escape(visible(problem['problem_id']))}[/bold]  {estimate['outcome']}", end="")
    out.print(f"  [dim]{', '.join(estimate['reasons'])}[/dim]" if estimate["reasons"] else "")
    if problem["set_aside_why"]:
        out.print(visible(problem["set_aside_why"]), markup=False, style="yellow", soft_wrap=True)
    out.print(
        f"{estimate['k']} of {estimate['n']} pass; pass rate {estimate['pass_rate']:.3f} "
        f"\\[{estimate['ci_low']:.3f}, {estimate['ci_high']:.3f}], in band with probability {estimate['p_in_band']:.3f}"
    )
    _print_evidence(view, out)
    out.print("\n[dim]prompt[/dim]")
    _print_text(problem["prompt"] or problem["question"], out)
    out.print("\n[dim]reference[/dim] ", end="")
    _print_text(" | ".join(problem["answers"]), out)
    if not view.rollouts:
        out.print("\n[dim]the rollouts are not on this disk; profiling again with the same recipe draws the same[/dim]")
    if not view.texts:
        out.print("\n[dim]imported as counts: there are no texts[/dim]")
        return
    for rollout in view.rollouts[:limit]:
        verdict = rollout["verdict"] or "not judged"
        color = {"pass": "green", "fail": "red"}.get(verdict, "yellow")
        tokens = f"{rollout['completion_tokens']} tokens, {rollout['finish_reason']}"
        reason = excerpt(rollout["reason"] or "", 200)
        out.print(f"\n[{color}]{verdict}[/] [dim]#{rollout['index']}, {tokens}, {escape(reason)}[/dim]")
        for flag in (name for name in FLAG_MEANING if rollout.get(name)):
            step = f": {visible(rollout['first_false'] or '')}" if flag == "wrong_step" else ""
            out.print(f"{flag}{step}", markup=False, style="yellow", soft_wrap=True)
        _print_text(rollout["completion"], out)
    if len(view.rollouts) > limit:
        out.print(f"\n[dim]{len(view.rollouts) - limit} more: --limit {len(view.rollouts)}[/dim]")


def _print_text(text: str, out: Console) -> None:
    """A text as it was written, lines broken by the terminal alone."""
    out.print(visible(text), markup=False, soft_wrap=True)


def _print_evidence(view: ProblemView, out: Console) -> None:
    """Why the audit flags a problem, or that it does not."""
    seen = view.estimate
    if seen["n_audited"] is None:
        return
    if seen["n_checked"]:
        out.print(
            f"{seen['n_shortcut']} of {seen['n_checked']} passes flagged, {seen['n_steps_false']} for a false step; "
            f"genuine pass rate {seen['genuine_rate']:.3f} \\[{seen['genuine_low']:.3f}, {seen['genuine_high']:.3f}], "
            f"risk {seen['risk']:.2f}"
        )
    if seen["guess_rate"] is not None:
        out.print(f"a guess ({seen['guess_kind']}) passes at {seen['guess_rate']:.3f}")
    if seen["p_luck"] is not None:
        out.print(f"the passes: {seen['guess_verdict']}; mostly luck with probability {seen['p_luck']:.3f}")
    if seen["p_label_wrong"] is not None:
        others = ", ".join(f"{excerpt(answer, 40)} x{count}" for answer, count in view.competing) or "none"
        why = f" ({seen['label_why']})" if seen["label_why"] else ""
        out.print(
            f"reference wrong with probability {seen['p_label_wrong']:.3f}{why}: "
            f"reached {seen['reference_count']} times; other answers: {others}",
            markup=False,
        )
    if view.label_note:
        out.print(visible(view.label_note), markup=False, style="yellow")

"""What commands print for a person: the summary of a profile, one problem, what a verifier changes.

Must not compute: it is given the numbers. Plain when piped, because rich notices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from curate.auditing import FLAGS, Audit
from curate.summary import Summary
from curate.verifying import Verification
from curate.viewing import Overview, ProblemView

MEANING = {
    "in_band": "pass rate inside the band",
    "too_hard": "pass rate below the band",
    "too_easy": "pass rate above the band",
    "undecided": "not enough rollouts to tell the side of the band",
    "truncated": "mostly cut at the length limit",
    "guessable": "its passes may be lucky guesses",
    "shortcut": "most passes skip the work or show false steps",
    "suspect_label": "the reference is probably wrong",
    "unverifiable": "the reference cannot be used, or verdicts are missing",
    "duplicate": "the same question stands earlier in the source",
    "engine_error": "the engine failed on its requests",
}
"""Outcomes and reasons in words."""

FLAG_MEANING = {
    "wrong_step": "a step that it states is false",
    "unsupported": "the answer does not follow from the last step",
    "skipped": "it shows far less work than its like",
    "repetitive": "it repeats itself",
    "unneeded": "its answer comes as well without the reasoning",
    "refuted": "a judge does not find that its reasoning supports it",
}
"""An audit's flags in words."""


def print_summary(summary: Summary, console: Console | None = None) -> None:
    """Print where a profile stands: what was kept, and why the rest was not."""
    out = console or Console(highlight=False)
    band = summary.band
    out.print(
        f"[bold]{summary.name}[/bold]: [bold green]{summary.kept:,}[/bold green] of {summary.problems:,} problems "
        f"kept, in the band [bold]\\[{band.low:g}, {band.high:g}][/bold] at confidence {band.confidence:g}"
    )
    passing = f"{summary.passes / summary.scored:.1%} of them pass" if summary.scored else "none scored"
    more = [f"{count:,} {what}" for count, what in _rare(summary) if count]
    out.print(f"{summary.rollouts:,} rollouts, {passing}{'; ' + ', '.join(more) if more else ''}\n")
    table = Table(box=None, pad_edge=False, header_style="dim")
    # Where problems have several reasons, a second column counts each problem once, so that it adds up.
    overlap = sum(summary.reasons.values()) > sum(summary.main_reasons.values())
    for heading in ("why not kept", "problems", *(["mainly"] if overlap else []), ""):
        table.add_column(heading, justify="right" if heading in ("problems", "mainly") else "left")
    for reason, count in summary.reasons.items():
        mainly = [f"{summary.main_reasons.get(reason, 0):,}"] if overlap else []
        table.add_row(reason, f"{count:,}", *mainly, f"[dim]{MEANING[reason]}[/dim]")
    if summary.reasons:
        out.print(table)
        steps = ", ".join(f"{step} {count:,}" for step, count in summary.next_steps.items())
        out.print(f"\nnext steps: {steps}")
    out.print(f"profile: {summary.path}", soft_wrap=True)


def _rare(summary: Summary) -> list[tuple[int, str]]:
    return [(summary.truncated, "cut at the length limit"), (summary.unscored, "without a verdict")]


def print_overview(view: Overview, console: Console | None = None) -> None:
    """Print a profile at a glance: the summary, the shape of its pass rates, and its families."""
    out = console or Console(highlight=False)
    out.print(f"[dim]{view.model['path']} at {view.model['revision'][:20]}, {view.updated}[/dim]")
    if view.imported is not None:
        _print_imported(view.imported, out)
    print_summary(view.summary, out)
    if view.audit != "current" and (view.imported is None or view.imported["texts"]):
        said = {"none": "not audited", "outdated": "the audit is of other rollouts and was not used"}[view.audit]
        out.print(f"[yellow]{said}[/yellow]: curate audit {view.summary.path}", soft_wrap=True)
    out.print("\n[bold]pass rates[/bold]")
    most = max((*view.histogram, 1))
    band = view.summary.band
    for position, count in enumerate(view.histogram):
        low, high = position / len(view.histogram), (position + 1) / len(view.histogram)
        inside = band.low <= (low + high) / 2 <= band.high
        bar = "█" * round(40 * count / most) or "▏" * (count > 0)
        out.print(
            f"{low:.2f}-{high:.2f} [{'green' if inside else 'dim'}]{'│' if inside else ' '} {bar}[/] {count or ''}"
        )
    if view.families:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column(view.family_key or "")
        for heading in ("problems", "kept", "mean pass rate"):
            table.add_column(heading, justify="right")
        for name, problems, kept, rate in view.families:
            table.add_row(escape(str(name)), f"{problems:,}", f"{kept:,}", "-" if rate is None else f"{rate:.3f}")
        out.print()
        out.print(table)


def _print_imported(told: dict[str, Any], out: Console) -> None:
    """Where an imported profile's rollouts came from, and what nobody knows of them."""
    step = f", step {told['step']}" if told["step"] is not None else ""
    texts = "" if told["texts"] else ", counts without texts"
    out.print(f"[dim]imported from {escape(told['format'])}{step}{texts}[/dim]")
    if told["unknown"]:
        out.print(f"[dim]the log does not tell: {untold(told['unknown'])}[/dim]")


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


def print_problem(view: ProblemView, limit: int, console: Console | None = None) -> None:
    """Print one problem with its first rollouts, passes first."""
    out = console or Console(highlight=False)
    problem, estimate = view.problem, view.estimate
    out.print(f"[bold]{escape(problem['problem_id'])}[/bold]  {estimate['outcome']}", end="")
    out.print(f"  [dim]{', '.join(estimate['reasons'])}[/dim]" if estimate["reasons"] else "")
    if problem["set_aside_why"]:
        out.print(f"[yellow]{escape(problem['set_aside_why'])}[/yellow]")
    out.print(
        f"{estimate['k']} of {estimate['n']} pass; pass rate {estimate['pass_rate']:.3f} "
        f"\\[{estimate['ci_low']:.3f}, {estimate['ci_high']:.3f}], in band with probability {estimate['p_in_band']:.3f}"
    )
    _print_evidence(view, out)
    out.print("\n[dim]prompt[/dim]")
    # Without markup: it would take the backslash of LaTeX's \[ for its own.
    out.print(problem["prompt"] or problem["question"], markup=False)
    out.print(f"\n[dim]reference[/dim] {escape(' | '.join(problem['answers']))}")
    if not view.rollouts:
        out.print("\n[dim]the rollouts are not on this disk; profiling again with the same recipe draws the same[/dim]")
    if not view.texts:
        out.print("\n[dim]imported as counts: there are no texts[/dim]")
        return
    for rollout in view.rollouts[:limit]:
        verdict = rollout["verdict"] or "not judged"
        color = {"pass": "green", "fail": "red"}.get(verdict, "yellow")
        tokens = f"{rollout['completion_tokens']} tokens, {rollout['finish_reason']}"
        out.print(
            f"\n[{color}]{verdict}[/] [dim]#{rollout['index']}, {tokens}, {escape(rollout['reason'] or '')}[/dim]"
        )
        for flag in (name for name in FLAGS if rollout.get(name)):
            step = f": {rollout['first_false']}" if flag == "wrong_step" else ""
            out.print(f"{flag}{step}", markup=False, style="yellow")
        out.print(rollout["completion"], markup=False)
    if len(view.rollouts) > limit:
        out.print(f"\n[dim]{len(view.rollouts) - limit} more: --limit {len(view.rollouts)}[/dim]")


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
        others = ", ".join(f"{_clip(answer, 40)} x{count}" for answer, count in view.competing) or "none"
        why = f" ({seen['label_why']})" if seen["label_why"] else ""
        out.print(
            f"reference wrong with probability {seen['p_label_wrong']:.3f}{why}: "
            f"reached {seen['reference_count']} times; other answers: {others}",
            markup=False,
        )
    if view.label_note:
        out.print(view.label_note, markup=False, style="yellow")


def print_audit(found: Audit, console: Console | None = None) -> None:
    """Print what an audit saw in the passes, which references to look at, and where the profile stands then."""
    out = console or Console(highlight=False)
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
    out.print(table)
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
            others = ", ".join(f"{_clip(answer, 20)} x{count}" for answer, count in one.competing[:3])
            table.add_row(
                escape(one.problem_id),
                f"{one.probability:.3f}",
                escape(_clip(" | ".join(one.references), 30)),
                f"{one.reached}",
                escape(others),
                one.why,
            )
        out.print(table)
        out.print("[dim]a queue for a person: strong models agree on wrong answers too[/dim]")
    out.print(f"\nkept: {found.kept_before:,} by the band, {found.summary.kept:,} after the audit\n")
    print_summary(found.summary, out)


def print_verification(found: Verification, limit: int = 20, console: Console | None = None) -> None:
    """Print what a verifier changes: the table of verdicts, references it cannot use, outcomes that flip, examples."""
    out = console or Console(highlight=False)
    changes = found.changes
    out.print(
        f"[bold]{escape(found.verifier)}[/bold]: {found.judged:,} of {changes.rollouts:,} rollouts judged now, "
        f"{found.compared:,} answers compared and {found.reused:,} known\n"
    )
    table = _plain_table("verdicts", *(f"now {kind}" for kind in changes.verdicts))
    for kind, row in changes.verdicts.items():
        table.add_row(f"was {kind}", *(f"{count:,}" for count in row.values()))
    out.print(table)
    out.print(f"{changes.changed:,} verdicts changed; problems kept: {changes.kept_before:,} -> {changes.kept_after:,}")
    if found.bad_references:
        table = _plain_table("references that fail it", "", "why", right=False)
        for bad in found.bad_references[:limit]:
            table.add_row(escape(bad.problem_id), escape(_clip(" | ".join(bad.references))), escape(bad.why))
        out.print()
        out.print(table)
        _say_more(out, len(found.bad_references), limit)
    if changes.flips:
        table = _plain_table("outcomes that flip", "was", "now", "passes was", "now", "pass rate was", "now")
        for flip in changes.flips[:limit]:
            table.add_row(
                escape(flip.problem_id),
                flip.before,
                flip.after,
                f"{flip.passes_before}/{flip.scored_before}",
                f"{flip.passes_after}/{flip.scored_after}",
                *("-" if rate is None else f"{rate:.3f}" for rate in (flip.pass_rate_before, flip.pass_rate_after)),
            )
        out.print()
        out.print(table)
        _say_more(out, len(changes.flips), limit)
    for example in changes.examples:
        out.print(f"\n[bold]{escape(example.problem_id)}[/bold] #{example.index}")
        # Without markup: it would take the backslash of LaTeX's \[ for its own.
        out.print(f"  reference: {_clip(' | '.join(example.references))}", markup=False, soft_wrap=True)
        for name, said in (("was", example.before), ("now", example.after)):
            answer = "no answer" if said.answer is None else _clip(said.answer)
            out.print(f"  {name} {said.verdict}: {answer} ({said.reason})", markup=False, soft_wrap=True)
        out.print(f"  ...{example.tail}", markup=False, soft_wrap=True, style="dim")
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


def _clip(text: str, width: int = 100) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."

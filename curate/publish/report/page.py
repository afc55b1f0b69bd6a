"""The page: one HTML file that needs nothing else, made of a profile's content.

Owns the template, the style and the script, and what keeps a page from doing harm: all that a model or a dataset wrote
is escaped here or set as text by the script, no other script than ours may run, and nothing may be fetched. Must not
read a profile: it is given the content.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from curate.publish.report import figures
from curate.publish.report.data import Content
from curate.publish.report.texts import encode
from curate.viewing import FLAG_MEANING
from curate.visible import visible

SIDES = {"in_band": "in the band", "too_hard": "too hard", "too_easy": "too easy", "undecided": "undecided"}
"""The lines over time, in words. An audit may speak against problems in the band; that is not told over time."""


def render(content: Content) -> str:
    """The page as HTML. The same content gives the same bytes."""
    style, script = _read("style.css"), _read("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters["n"] = _number
    environment.filters["share"] = _share
    template = environment.from_string(_read("template.html.j2"))
    return template.render(
        content=content,
        view=content.overview,
        summary=content.overview.summary,
        manifest=content.manifest,
        names=figures.NAMES,
        flags=FLAG_MEANING,
        histogram=_stacked(content.histogram),
        tallest=max(1, *(sum(column) for column in zip(*content.histogram, strict=True))),
        sampled=sum(map(sum, content.histogram)),
        classes=figures.CLASSES,
        totals=[sum(counts) for counts in content.histogram],
        history=_history(content),
        policy=policy,
        # Safe because of ``encode``, and because the two files are ours.
        data=Markup(encode(content.payload).decode()),
        style=Markup(style),
        script=Markup(script),
    )


def _read(name: str) -> str:
    return resources.files("curate.publish.report").joinpath(name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """What an expression of the template becomes: its unseen characters are made visible before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _share(part: float, whole: float) -> str:
    if not whole:
        return "–"
    return f"{part / whole:.{1 if 0 < part < 0.1 * whole else 0}%}"


def _stacked(counts: list[list[int]]) -> list[list[tuple[int, int]]]:
    """For each bin, what lies under each class and how much of it there is."""
    stacks = []
    for column in zip(*counts, strict=True):
        under = 0
        stack = []
        for count in column:
            stack.append((under, count))
            under += count
        stacks.append(stack)
    return stacks


def _history(content: Content) -> list[dict[str, Any]]:
    """Lines over time: the share of problems in the band, too hard and too easy, and the mean pass rate."""
    rows = content.history or []
    if not rows:
        return []
    whole = [sum(row[name] for name in SIDES) for row in rows]
    lines = [
        (name, words, [row[name] / all_ if all_ else None for row, all_ in zip(rows, whole, strict=True)])
        for name, words in SIDES.items()
    ]
    lines.append(("rate", "mean pass rate", [row["mean_pass_rate"] for row in rows]))
    return [{"class": key, "name": name, "points": figures.line(values)} for key, name, values in lines]

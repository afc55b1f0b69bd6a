"""The card: the ``README.md`` of a release, for the Hub and for a person.

Owns what a release says of itself: whose band it is, under which protocol, and what was left out and why. Must not
read a profile: it is given the numbers.
"""

from __future__ import annotations

from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from curate.summary import Summary

_TEMPLATE = """\
---
{{ metadata }}---

# {{ name }}

{{ "{:,}".format(kept) }} of {{ "{:,}".format(problems) }} problems lie in the competence band \
[{{ band.low }}, {{ band.high }}] of `{{ model.path }}`, each with a posterior probability of at least \
{{ band.confidence }}.

A band belongs to one checkpoint and one protocol, and it moves as the model improves. These pass rates say nothing of
another model, another prompt or another verifier.

## What was kept, and what was not

| outcome | problems |
| --- | ---: |
{% for outcome, count in outcomes.items() -%}
| `{{ outcome }}` | {{ "{:,}".format(count) }} |
{% endfor %}
| reason for leaving out | problems | mainly |
| --- | ---: | ---: |
{% for reason, count in reasons.items() -%}
| `{{ reason }}` | {{ "{:,}".format(count) }} | {{ "{:,}".format(main_reasons.get(reason, 0)) }} |
{% endfor %}
A problem may have several reasons; *mainly* counts it once, by the reason that asks for its next step, and adds up to
the {{ "{:,}".format(problems - kept) }} problems that were left out. Nothing is deleted: the config `excluded` holds \
them all, with their reasons and what to do next.

{% if audited -%}
The rollouts were audited: problems whose passes may be lucky guesses (`guessable`) or are mostly shortcuts, and those
with a suspect reference, were left out. Each is a flag with its evidence in the columns, not a verdict.
{%- else -%}
The rollouts were not audited: lucky guesses and passes by shortcuts are still among them.
{%- endif %}

## How to load it

```python
from datasets import load_dataset

kept = load_dataset("PATH_OR_REPO", "default", split="train")
{% for config in configs if config != "default" -%}
{{ config }} = load_dataset("PATH_OR_REPO", "{{ config }}", split="train")
{% endfor -%}
```

| config | rows | what it holds |
| --- | ---: | --- |
{% for config, count in rows.items() -%}
| `{{ config }}` | {{ "{:,}".format(count) }} | {{ meaning[config] }} |
{% endfor %}
## Columns

| column | meaning |
| --- | --- |
| `problem_id`, `question`, `answer`, `answers` | the problem, its first reference and all accepted ones |
| `pass_rate`, `ci_low`, `ci_high` | posterior mean and 95% credible interval of the pass rate |
| `cs_low`, `cs_high` | 95% confidence sequence: it holds whatever rule ended the sampling |
| `pass_rate_pilot` | passes / scored rollouts of the fixed first draw of {{ pilot }} |
| `p_below`, `p_in_band`, `p_above` | posterior mass below, in and above the band |
| `n`, `k`, `n_unscored`, `n_truncated` | scored rollouts, passes, rollouts without verdict, rollouts cut off |
| `mean_tokens` | mean completion tokens |
| `p_genuine`, `genuine_rate`, `genuine_low`, `genuine_high` | probability that a pass is genuine; pass rate times it |
| `risk`, `p_outvote` | what a lone shortcut gains in a group; P(genuine passes outnumber shortcuts), lower bound |
| `p_luck`, `p_label_wrong` | probability that most passes are luck; that the reference is wrong |
| `metadata` | the source's other columns, as JSON |

## Protocol

| what | value |
| --- | --- |
| model | `{{ model.path }}` |
| revision | `{{ model.revision }}` |
{% for key, value in protocol.items() if not key.startswith("model.") -%}
| {{ key }} | `{{ value }}` |
{% endfor -%}
| problems | {{ source }} |
| rollouts | {{ "{:,}".format(rollouts) }} |
| profile of | {{ updated }} |
{% for package, version in versions.items() -%}
| {{ package }} | {{ version }} |
{% endfor -%}
"""

_MEANING = {
    "default": "the kept problems",
    "excluded": "all others, with `reasons`, the evidence for them, `next_step` and `note`",
    "control": "as many problems as were kept, drawn at random from all that could have been: the fair comparison",
    "repair": "over-hard problems that nothing else speaks against, with what it takes to write easier variants",
}


def render(manifest: dict[str, Any], summary: Summary, rows: dict[str, int], file: str, *, audited: bool) -> str:
    """The card as Markdown.

    Args:
        manifest: The profile's.
        summary: Where the profile stands under the release's band.
        rows: Rows of each config that was written.
        file: The name of each config's parquet file.
        audited: Whether an audit's reasons are among those for leaving out; its columns are null where not.
    """
    metadata = {
        "configs": [
            {"config_name": config, "data_files": [{"split": "train", "path": f"{config}/{file}"}]}
            | ({"default": True} if config == "default" else {})
            for config in rows
        ],
        "tags": ["rlvr", "curate", "pass-rate", "competence-band"],
        "size_categories": [_size(sum(rows.values()))],
    }
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(_TEMPLATE).render(
        metadata=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True),
        name=summary.name,
        kept=summary.kept,
        problems=summary.problems,
        band=summary.band,
        model=manifest["model"],
        outcomes=summary.outcomes,
        reasons=summary.reasons,
        main_reasons=summary.main_reasons,
        audited=audited,
        rows=rows,
        configs=list(rows),
        meaning=_MEANING,
        pilot=manifest["pilot"],
        protocol={key: _inline(value) for key, value in manifest["protocol"].items()},
        source=manifest["problems"]["source"],
        rollouts=summary.rollouts,
        updated=manifest.get("updated", "unknown"),
        versions=manifest["versions"],
    )


def _inline(value: object) -> str:
    """A value that stays in one cell of a Markdown table."""
    return repr(value).replace("|", "\\|").replace("`", "'")


def _size(rows: int) -> str:
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for bound, name in bounds if rows < bound), "1M<n<10M")

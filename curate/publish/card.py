"""The card: the ``README.md`` of a release, for the Hub and for a person.

Owns what a release says of itself: whose band it is, under which protocol, what was left out and why, and what none of
it shows. A function of the release's own manifest and of nothing else, so that the same release has the same card on
any day. Must not read a profile. Whatever a dataset, a recipe or a model named is escaped.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from curate import decide
from curate.records import Reason

HISTOGRAM = "histogram.svg"

_TEMPLATE = """\
---
{{ metadata }}---

# {{ name | prose }}

{% if kept -%}
**{{ "{:,}".format(kept) }} of {{ "{:,}".format(problems) }} problems are kept:** each lies in the competence band \
[{{ band.low }}, {{ band.high }}] of {{ model.path | code }} with a posterior probability of at least \
{{ band.confidence }}{{ ", and no flag of the audit speaks against it" if audited }}.
{%- else -%}
**None of {{ "{:,}".format(problems) }} problems is kept:** of none is it known, with a posterior probability of at \
least {{ band.confidence }}, that it lies in the competence band [{{ band.low }}, {{ band.high }}] of \
{{ model.path | code }}{{ " and that the audit has nothing against it" if audited }}. The config \
`default` has its columns and no rows: `datasets` streams it as nothing, and \
says that it "corresponds to no data" when it is loaded whole. Load the other configs by name.
{%- endif %}

![Pass rates of all problems and of those kept, with the band]({{ histogram }})

A band belongs to one checkpoint and one protocol, and it moves as the model improves. These pass rates say nothing of
another model, another prompt or another verifier.
{% if genuine %}
The band was applied to the *genuine* pass rate: the pass rate times the probability that a pass is no shortcut.
{% endif %}
## What was kept, and what was not

| outcome | problems |
| --- | ---: |
{% for outcome, count in outcomes.items() -%}
| `{{ outcome }}` | {{ "{:,}".format(count) }} |
{% endfor %}
{% if reasons -%}
| reason for leaving out | problems | mainly | next step |
| --- | ---: | ---: | --- |
{% for reason, count in reasons.items() -%}
| `{{ reason }}` | {{ "{:,}".format(count) }} | {{ "{:,}".format(main_reasons.get(reason, 0)) }} \
| {{ next_step[reason] }} |
{% endfor %}
A problem may have several reasons; *mainly* counts it once, by the reason that asks for its next step, and adds up to
the {{ "{:,}".format(problems - kept) }} problems that were left out. Nothing is deleted: the config `excluded` holds \
them all, with their reasons and what to do next.
{%- endif %}

{% if audited -%}
The rollouts were audited: problems whose passes may be lucky guesses (`guessable`) or are mostly shortcuts, and those
with a suspect reference, were left out. Each is a flag with its evidence in the columns, not a verdict.
{%- else -%}
The rollouts were not audited: lucky guesses and passes by shortcuts are still among them.
{%- endif %}

## How to load it

```python
from datasets import load_dataset

{% for config in rows -%}
{{ variable[config] }} = load_dataset("PATH_OR_REPO", "{{ config }}", split="train"\
{{ "" if rows[config] else ", streaming=True" }})
{% endfor -%}
```

`PATH_OR_REPO` is this folder or the name of this repository; `revision=` takes a tag of it, so that a training run can
say which release it saw.

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
| model | {{ model.path | code }} |
| revision | {{ model.revision | code }} |
{% if step is not none -%}
| training step | {{ "{:,}".format(step) }} |
{% endif -%}
{% for key, value in protocol.items() if key not in ("model.path", "model.revision") -%}
| {{ key | code }} | {{ value | code }} |
{% endfor -%}
| problems | {{ source | code }} |
| rollouts | {{ "{:,}".format(rollouts) }} |
| measured | {{ measured | code }} |
| protocol fingerprint | {{ fingerprint | code }} |
{% for package, version in versions.items() -%}
| {{ package | code }} | {{ version | code }} |
{% endfor %}
## How to reproduce it

{% if recipe -%}
Save this as `recipe.yaml`:

{{ recipe }}

```
curate profile recipe.yaml
{{ "curate audit PROFILE\\n" if audited -}}
curate filter PROFILE --to OUT{{ filtering }}
```

Every rollout has a seed of its own, so that the same engine on the same hardware draws the same again; another engine
draws from the same distribution. The same profile gives this release byte for byte.
{%- else -%}
The rollouts were drawn by another tool and imported, so there is no recipe that draws them again. From the same profile
`curate filter PROFILE --to OUT{{ filtering }}` gives this release byte for byte.
{%- endif %}

## How old it is, and when it is due again

Measured until {{ measured | code }}, of revision {{ model.revision | code }}. The calendar does not age a band, \
training does: it holds for this revision under this protocol, and is due again as soon as the model to be trained is \
another revision. \
{% if next_steps.get("defer") -%}
The {{ "{:,}".format(next_steps["defer"]) }} deferred problems are the first to profile again then, and after them the
kept ones whose interval crosses an edge of the band.
{%- else -%}
The kept problems whose interval crosses an edge of the band are the first to profile again then.
{%- endif %} A profile without \
a date or a revision that can be checked should be taken again before it is trained on.

## What it does not show

- **That training on it is better.** The case for a band is contested. Rare passes on over-hard problems are often
  shortcuts, and group-relative normalisation gives them the largest advantage ([2605.28388](https://arxiv.org/abs/2605.28388));
  but [2508.14094](https://arxiv.org/abs/2508.14094) gains most on the hardest tenth. Train on `control`, too: as many
  problems, drawn at random.
- **Whether the reasoning was right.** A pass rate sees final answers. A fluent solution with a wrong idea in it \
passes; {{ "the audit checks stated arithmetic and what a guess would reach" if audited else "no audit was made" }}.
- **That every kept problem lies in the band.** Each does with a probability of at least {{ band.confidence }}, \
under a prior that was learned from these very problems; some of them do not.
- **That what was left out is bad.** Over-hard problems wait, undecided ones need more rollouts, and references that
  look wrong are a queue for a person: strong models agree on wrong answers, too.
- **Anything of test sets.** Nobody looked for overlap with a benchmark.
- **Licence and consent.** {{ licensing }}
"""

_MEANING = {
    "default": "the kept problems",
    "excluded": "all others, with `reasons`, the evidence for them, `next_step` and `note`",
    "control": "as many problems as were kept, drawn at random from all that could have been: the fair comparison",
    "repair": "over-hard problems that nothing else speaks against, with what it takes to write easier variants",
    "rollouts": "every judged rollout: `verdict`, `reward`, `outcome` of its problem, token counts, and last its text",
}
_VARIABLE = {"default": "kept"}
_HOW = {
    Reason.TOO_HARD: "profile again later",
    Reason.UNDECIDED: "draw more rollouts",
    Reason.TRUNCATED: "allow more tokens",
    Reason.SUSPECT_LABEL: "a person looks at the reference",
    Reason.UNVERIFIABLE: "give it a reference that can be checked",
    Reason.ENGINE_ERROR: "run again",
}
_HUB = re.compile(r"([\w.-]+(?:/[\w.-]+)?)@([0-9a-f]{40})")
"""How a profile names problems of the Hub."""


def render(record: dict[str, Any]) -> str:
    """The card as Markdown, with the metadata that the Hub reads.

    Args:
        record: The release's manifest.
    """
    hub = _HUB.fullmatch(record["problems"]["source"])
    metadata = {
        "pretty_name": f"{record['name']}: the band [{record['band']['low']:g}, {record['band']['high']:g}]",
        "license": record["license"],
        "language": record["language"],
        "tags": ["rlvr", "curate", "pass-rate", "competence-band"],
        "source_datasets": [hub[1]] if hub else None,
        "size_categories": [_size(sum(record["rows"].values()))],
        "configs": [
            {"config_name": config, "data_files": [{"split": "train", "path": _paths(record, config)}]}
            | ({"default": True} if config == "default" else {})
            for config in record["rows"]
        ],
    }
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters.update(prose=_prose, code=_code)
    return environment.from_string(_TEMPLATE).render(
        **{name: record[name] for name in ("name", "kept", "band", "model", "outcomes", "reasons", "main_reasons")},
        **{name: record[name] for name in ("next_steps", "audited", "genuine", "rows", "pilot", "protocol")},
        **{name: record[name] for name in ("rollouts", "versions", "step")},
        problems=record["problems"]["profiled"],
        metadata=_yaml({key: value for key, value in metadata.items() if value}),
        histogram=HISTOGRAM,
        next_step={
            reason.value: f"{step.value}: {_HOW[reason]}" if reason in _HOW else step.value
            for reason, step in decide.NEXT_STEP.items()
        },
        variable={config: _VARIABLE.get(config, config) for config in record["rows"]},
        meaning=_MEANING,
        source=record["problems"]["source"],
        measured=record["profile_updated"] or "unknown",
        fingerprint=record["protocol_fingerprint"],
        recipe=_fenced(_yaml(_pinned(record, hub))) if record["recipe"] else None,
        filtering=_filtering(record),
        licensing=_licensing(record, hub[1] if hub else None),
    )


def _pinned(record: dict[str, Any], hub: re.Match[str] | None) -> dict[str, Any]:
    """The recipe with the commits that its names meant on the day."""
    recipe: dict[str, Any] = {**record["recipe"]}
    if re.fullmatch(r"[0-9a-f]{40}", str(record["model"]["revision"])):
        recipe["model"] = {**recipe["model"], "revision": record["model"]["revision"]}
    if hub:
        recipe["problems"] = {**recipe["problems"], "revision": hub[2]}
    return recipe


def _paths(record: dict[str, Any], config: str) -> str | list[str]:
    """Where a config's rows are: named one by one, because others may put files beside ours."""
    files = [name for name in record["sha256"] if name.startswith(f"{config}/")]
    return files[0] if len(files) == 1 else files


def _filtering(record: dict[str, Any]) -> str:
    """The options of ``curate filter`` that made this release."""
    band = record["band"]
    parts = [f" --band {band['low']}:{band['high']} --confidence {band['confidence']}"]
    parts += [" --genuine"] if record["genuine"] else []
    parts += [" --allow-empty"] if not record["kept"] else []
    parts += [" --with-rollouts"] if "rollouts" in record["rows"] else []
    parts += [f" --license {record['license']}"] if record["license"] else []
    parts += [f" --language {language}" for language in record["language"]]
    return "".join(parts)


def _licensing(record: dict[str, Any], source: str | None) -> str:
    if record["license"]:
        return f"The problems are under {_code(record['license'])}, as their source or the publisher says."
    named = f" ({_code(source)})" if source else ""
    return f"The licence of the source{named} was not known here, and none is claimed: ask the source."


def _yaml(value: object) -> str:
    """YAML whose non-ASCII letters are readable, unless they are of the kind that hides what a text says."""
    plain = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return plain if _harmless(plain) else yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=120)


def _harmless(text: str) -> bool:
    return all(character == "\n" or unicodedata.category(character) not in _INVISIBLE for character in text)


_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Controls, marks that turn the direction of a text, lone surrogates, private characters, line separators."""


def _visible(text: str) -> str:
    """The text in one line: what cannot be seen is told by its number."""
    if _harmless(text) and "\n" not in text:
        return text
    return "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in _INVISIBLE else character
        for character in text.replace("\n", "\\n").replace("\t", "\\t")
    )


def _prose(text: str) -> str:
    """A name as plain text in Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|&~$-])", r"\\\1", _visible(text))


def _code(value: object) -> str:
    """A value as code that stays in one cell of a Markdown table."""
    text = _visible(value if isinstance(value, str) else repr(value))
    # In a table a bar ends the cell even inside of code, unless it is escaped.
    text = text.replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _fenced(text: str) -> str:
    """A block of YAML that nothing inside it ends."""
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence}yaml\n{text}{fence}"


def _size(rows: int) -> str:
    bounds = ["1K", "10K", "100K", "1M", "10M", "100M", "1B"]
    place = next((place for place in range(len(bounds)) if rows < 10 ** (place + 3)), len(bounds))
    if place == 0:
        return "n<1K"
    return f"{bounds[place - 1]}<n<{bounds[place]}" if place < len(bounds) else "1B<n<10B"

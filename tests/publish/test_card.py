"""The card: what the Hub reads of it, what a person reads, and that what others named stays in its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import manifest
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt
from publish import releases
from publish.hub_server import SIZES

from curate import recipe as recipes
from curate.ledger import Ledger
from curate.publish import card
from curate.publish.release import filter
from curate.recipe import Recipe

COMMIT = "0123456789abcdef" * 2 + "01234567"
NASTY = (
    "a|b`c``d<script>alert(1)</script>\n# heading\n---\n![x](http://evil/y)[z](javascript:1)*_~$\u202egnp.\u2028{{7*7}}"
)
KEY = "hf_" + "s3cr3t" * 5


@pytest.fixture
def measured(tmp_path: Path) -> Ledger:
    return releases.measured(tmp_path / "profile")


def change(ledger: Ledger, **changes: Any) -> None:
    with ledger.writing():
        ledger.write_manifest(
            {key: value for key, value in {**ledger.manifest(), **changes}.items() if key != "format"}
        )


def release(ledger: Ledger, folder: Path, **options: Any) -> tuple[str, dict[str, Any]]:
    """The card and the manifest."""
    filter(ledger.path, to=folder, **options)
    return (folder / "README.md").read_text(), json.loads((folder / "manifest.json").read_text())


def recipe(**sections: Any) -> dict[str, Any]:
    settings = {
        "name": "sums",
        "problems": {"source": "owner/sums", "config": "main"},
        "model": {"path": "owner/model"},
        "engine": {"kind": "vllm"},
        **sections,
    }
    return recipes.told(Recipe.model_validate(settings))


def test_the_metadata_is_what_the_hub_reads(measured: Ledger, tmp_path: Path) -> None:
    source = {"source": f"owner/sums@{COMMIT}", "fingerprint": "0", "rows": 6}
    change(measured, problems=source)
    text, _ = release(measured, tmp_path / "out", license="cc-by-4.0", language=["en", "zh"], with_rollouts=True)
    data = DatasetCard(text).data
    assert data.license == "cc-by-4.0"
    assert data.language == ["en", "zh"]
    assert data.source_datasets == ["owner/sums"]
    assert data.size_categories == ["n<1K"]
    assert set(data.size_categories) <= SIZES
    assert "rlvr" in data.tags
    configs = {one["config_name"]: one for one in data.configs}
    assert list(configs) == ["default", "excluded", "control", "repair", "rollouts"]
    assert configs["default"]["default"] is True
    files = [one["data_files"][0]["path"] for one in configs.values()]
    assert all((tmp_path / "out" / file).is_file() for file in files)


def test_a_licence_is_never_invented_and_one_that_the_profile_knows_is_carried_over(
    measured: Ledger, tmp_path: Path
) -> None:
    text, _ = release(measured, tmp_path / "out")
    assert DatasetCard(text).data.license is None
    assert DatasetCard(text).data.source_datasets is None, "a file is no dataset of the Hub"
    assert "none is claimed" in text
    known = {"source": f"owner/sums@{COMMIT}", "fingerprint": "0", "rows": 6, "license": "odc-by"}
    change(measured, problems=known)
    assert DatasetCard(release(measured, tmp_path / "out")[0]).data.license == "odc-by"
    assert DatasetCard(release(measured, tmp_path / "out", license="mit")[0]).data.license == "mit"


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (1_000_000, "1M<n<10M"),
        (10**8, "100M<n<1B"),
    ],
)
def test_the_size_is_one_of_the_hubs_categories(measured: Ledger, tmp_path: Path, rows: int, category: str) -> None:
    _, record = release(measured, tmp_path / "out")
    text = card.render({**record, "rows": {"default": rows}, "sha256": {"default/x.parquet": ""}})
    assert DatasetCard(text).data.size_categories == [category]


def test_the_recipe_in_the_card_is_the_recipe_with_its_commits(measured: Ledger, tmp_path: Path) -> None:
    own = recipe(prompt={"system": "Antworte kurz. 答案 ```", "template": "{{ question }}\n\n````\n# not a heading"})
    change(
        measured,
        recipe=own,
        model={"path": "owner/model", "revision": COMMIT, "chat_template": "none"},
        problems={"source": f"owner/sums@{COMMIT[::-1]}", "fingerprint": "0", "rows": 6},
    )
    text, _ = release(measured, tmp_path / "out")
    found = re.search(r"^(`{3,})yaml\n(.*?)^\1$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    told = yaml.safe_load(found[2])
    own["model"]["revision"], own["problems"]["revision"] = COMMIT, COMMIT[::-1]
    assert told == own
    (tmp_path / "recipe.yaml").write_text(found[2])
    assert recipes.load(tmp_path / "recipe.yaml").model_dump(mode="json") == own


def test_the_command_in_the_card_makes_the_release(measured: Ledger, tmp_path: Path) -> None:
    text, _ = release(measured, tmp_path / "out", band=(0.0, 0.9), license="mit", language=["en"], with_rollouts=True)
    told = re.search(r"curate filter PROFILE --to OUT(.*)`", text)
    assert told is not None
    assert told[1].split() == [
        *("--band", "0.0:0.9", "--confidence", "0.9", "--with-rollouts", "--license", "mit", "--language", "en"),
    ]


def test_a_card_says_what_a_reader_must_know(measured: Ledger, tmp_path: Path) -> None:
    text, record = release(measured, tmp_path / "out")
    for said in (
        "2 of 6 problems are kept:** each lies in the competence band [0.2, 0.8] of `m`",
        "| `too_hard` | 1 | 1 | defer: profile again later |",
        "![Pass rates of all problems and of those kept, with the band](histogram.svg)",
        "| revision | `sha256:0` |",
        "| `sampling.temperature` | `1.0` |",
        "Measured until `2026-01-01T00:00:00+00:00`",
        "is due again as soon as the model to be trained is another revision",
        "2508.14094",
        "2605.28388",
        "The rollouts were not audited",
        "fluent solution with a wrong idea",
        "drawn by another tool and imported",
    ):
        assert " ".join(said.split()) in " ".join(text.split()), said
    assert card.render(record) == text, "the card is a function of the manifest"


def test_what_others_named_stays_in_its_place(measured: Ledger, tmp_path: Path) -> None:
    """Names, sources, revisions, prompts: one line each, no markup, no direction marks, no template of ours."""
    plain = release(measured, tmp_path / "out")[0]
    own = recipe(prompt={"template": NASTY}, verifier={"kind": "exact", "options": {"note": NASTY}})
    change(
        measured,
        name=NASTY,
        recipe=own,
        model={"path": NASTY, "revision": NASTY, "chat_template": NASTY},
        protocol={NASTY: NASTY, "prompt.template": NASTY},
        problems={"source": NASTY, "fingerprint": "0", "rows": 6},
        versions={NASTY: NASTY},
        updated=NASTY,
    )
    text, record = release(measured, tmp_path / "out")
    assert record["protocol"]["prompt.template"] == NASTY, "the manifest is JSON and keeps it"
    assert DatasetCard(text).data.pretty_name.startswith(NASTY)
    assert "\u202e" not in text
    assert "\u2028" not in text
    theirs, ours = parsed(text), parsed(plain)
    assert theirs["html"] == []
    assert (
        theirs["href"] == ours["href"] == [f"https://arxiv.org/abs/{paper}" for paper in ("2605.28388", "2508.14094")]
    )
    assert theirs["src"] == ["histogram.svg"]
    assert theirs["headings"][1:] == ours["headings"][1:]
    assert theirs["headings"][0].startswith("a|b`c``d<script>alert(1)</script>"), "all of it, as text"
    assert {len(row) for row in theirs["rows"]} == {len(row) for row in ours["rows"]} == {2, 3, 4}
    told = dict(row for row in theirs["rows"] if len(row) == 2)
    line = NASTY.replace("\n", "\\n").replace("\u202e", "\\u202e").replace("\u2028", "\\u2028")
    assert told["prompt.template"] == told["model"] == told["problems"] == told[line] == line


def parsed(text: str) -> dict[str, list[Any]]:
    """What a Markdown parser that is not ours finds below the metadata."""
    found: dict[str, list[Any]] = {"html": [], "href": [], "src": [], "headings": [], "rows": []}
    tokens = MarkdownIt("commonmark").enable("table").parse(text.split("\n---\n", 1)[1])
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "html_block":
            found["html"].append(token.content)
        if token.type == "tr_open":
            found["rows"].append([])
        for part in token.children or ():
            found["html"] += [part.content] if part.type == "html_inline" else []
            found["href"] += [part.attrs["href"]] if part.type == "link_open" else []
            found["src"] += [part.attrs["src"]] if part.type == "image" else []
        if token.type == "inline" and before is not None:
            content = "".join(part.content for part in token.children or ())
            if before.type == "heading_open":
                found["headings"].append(content)
            if before.type in ("th_open", "td_open"):
                found["rows"][-1].append(content)
    return found


def test_keys_and_folders_of_this_machine_are_not_told(measured: Ledger, tmp_path: Path) -> None:
    own = recipe(
        model={"path": "/srv/alice/checkpoints/step-100"},
        problems={"source": "~/alice/sums.jsonl"},
        prompt={"system": "/no_think", "template": f"see https://x.org/?q=1 {{{{ question }}}} {KEY}"},
        engine={
            "kind": "vllm",
            "options": {
                "hf_token": "plain",
                "download_dir": "/srv/alice/cache",
                "base_url": "https://alice:pw@host/v1",
                "extra": [{"api-key": "plain", "max_tokens": 5, "api_key_env": "MY_KEY"}],
                "headers": {"X-Auth-Token": "plain", "Authorization": "plain", "db_password": "plain"},
                "answer_key": "label",
                "eos_token": "</s>",
            },
        },
    )
    change(measured, recipe=own, model={"path": "/srv/alice/checkpoints/step-100", "revision": "sha256:0",
                                        "chat_template": "none"})  # fmt: skip
    text, record = release(measured, tmp_path / "out")
    for told in (text, json.dumps(record)):
        for secret in ("alice", "plain", ":pw", KEY):
            assert secret not in told, secret
    options = record["recipe"]["engine"]["options"]
    assert options == {
        "hf_token": "[removed]",
        "download_dir": "cache",
        "base_url": "https://host/v1",
        "extra": [{"api-key": "[removed]", "max_tokens": 5, "api_key_env": "MY_KEY"}],
        "headers": dict.fromkeys(("X-Auth-Token", "Authorization", "db_password"), "[removed]"),
        "answer_key": "label",
        "eos_token": "</s>",
    }
    assert record["recipe"]["model"]["path"] == record["model"]["path"] == "step-100"
    assert record["recipe"]["problems"]["source"] == "sums.jsonl"
    assert record["recipe"]["prompt"]["system"] == "/no_think", "no path"
    assert record["recipe"]["prompt"]["template"] == "see https://x.org/?q=1 {{ question }} [removed]"


def test_a_profile_without_secrets_is_told_as_it_is(measured: Ledger, tmp_path: Path) -> None:
    own = recipe(engine={"kind": "openai", "options": {"base_url": ["http://localhost:8000/v1"], "api_key_env": "K"}})
    change(measured, recipe=own)
    _, record = release(measured, tmp_path / "out")
    assert record["recipe"] == own
    assert record["protocol"] == manifest()["protocol"]

"""A release on a Hub: what is sent, deleted, left alone, tagged and refused; and that it loads as it was written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from publish.hub_client import HubClient, curate_command
from publish.hub_server import TOKEN, Fault, Hub
from publish.releases import contents, rows

from curate.errors import UsageError
from curate.publish.hub import publish
from curate.publish.release import filter

NAME = "me/band"
TAG = "v2026-01-01-m"
"""The profile's date and its model's name, as ``builders.manifest`` has them."""


def test_a_new_dataset_holds_the_release_under_its_tag_and_loads_as_written(
    hub: Hub, client: HubClient, stranger: HubClient, folders: tuple[Path, Path]
) -> None:
    found = client.publish(folders[0], NAME, private=True)
    assert found.done is not None, found.failed
    repo = hub.repos[NAME]
    assert repo.private
    assert repo.files() == {**contents(folders[0]), ".gitattributes": repo.files()[".gitattributes"]}
    assert repo.refs == {"main": found.done["commit"], f"refs/tags/{TAG}": found.done["commit"]}
    assert (found.done["created"], found.done["committed"], found.done["tagged"]) == (True, True, True)
    for config in ("default", "excluded", "control", "repair"):
        assert client.load(NAME, config, revision=TAG).rows == rows(folders[0], config)
    assert stranger.load(NAME).failed is not None, "it is private"


def test_what_an_older_release_left_is_deleted_and_what_others_put_there_is_not(
    hub: Hub, client: HubClient, folders: tuple[Path, Path]
) -> None:
    client.publish(folders[0], NAME)
    repo = hub.repos[NAME]
    theirs = {"notes.md": b"mine", "default/train-extra.parquet": b"PAR1", "repair/notes.txt": b"also mine"}
    repo.commit("main", {**repo.files(), **theirs}, "Notes")
    found = client.publish(folders[1], NAME, tag="wide")
    assert found.done is not None, found.failed
    assert found.done["changes"] == {
        "README.md": "change",
        "control/train-00000-of-00001.parquet": "change",
        "default/train-00000-of-00001.parquet": "change",
        "excluded/train-00000-of-00001.parquet": "change",
        "histogram.svg": "change",
        "manifest.json": "change",
        "repair/train-00000-of-00001.parquet": "delete",
    }
    assert found.done["left_alone"] == sorted(theirs)
    assert repo.files() == {**contents(folders[1]), **theirs, ".gitattributes": repo.files()[".gitattributes"]}
    loaded = client.load(NAME, revision="wide")
    assert loaded.rows == rows(folders[1]), "a stranger's file in our folder is not ours"


def test_a_forged_manifest_deletes_nothing(hub: Hub, client: HubClient, folders: tuple[Path, Path]) -> None:
    forged = {"protocol_fingerprint": "0", "sha256": {"data/theirs.parquet": "0", "train.csv": "0"}}
    theirs = {"data/theirs.parquet": b"PAR1", "train.csv": b"a,b\n"}
    hub.add(NAME, {"manifest.json": json.dumps(forged).encode(), **theirs})
    found = client.publish(folders[0], NAME)
    assert found.done is not None, found.failed
    assert found.done["left_alone"] == sorted(theirs)
    assert {name: hub.repos[NAME].files()[name] for name in theirs} == theirs


def test_nothing_to_change_is_no_commit(hub: Hub, client: HubClient, folders: tuple[Path, Path]) -> None:
    first = client.publish(folders[0], NAME).done
    hub.requests.clear()
    again = client.publish(folders[0], NAME).done
    assert first is not None
    assert again is not None
    assert hub.count("POST|PUT") == 0
    assert again["commit"] == first["commit"]
    assert set(again["changes"].values()) == {"same"}
    repo = hub.repos[NAME]
    repo.commit("main", {**repo.files(), "notes.md": b"mine"}, "Notes")
    later = client.publish(folders[0], NAME).done
    assert later is not None
    assert (later["committed"], later["tagged"]) == (False, False), "the tag's commit holds this release, too"


def test_a_tag_of_another_release_is_explained_before_anything_is_sent(
    hub: Hub, client: HubClient, folders: tuple[Path, Path]
) -> None:
    first = client.publish(folders[0], NAME).done
    assert first is not None
    hub.requests.clear()
    found = client.publish(folders[1], NAME)
    assert found.failed is not None
    assert found.failed[1] == f"the tag '{TAG}' names another release, in commit {first['commit'][:12]}"
    assert found.failed[3].startswith("choose another with --tag")
    rehearsed = client.publish(folders[1], NAME, dry_run=True).done
    assert rehearsed is not None
    assert rehearsed["refused"] == found.failed[1]
    assert hub.count("POST|PUT") == 0


def test_a_dry_run_shows_the_difference_without_a_token_and_sends_nothing(
    hub: Hub, client: HubClient, stranger: HubClient, folders: tuple[Path, Path]
) -> None:
    rehearsed = stranger.publish(folders[0], NAME, dry_run=True)
    assert rehearsed.done is not None, rehearsed.failed
    assert rehearsed.done["created"]
    assert set(rehearsed.done["changes"].values()) == {"add"}
    assert hub.repos == {}
    client.publish(folders[0], NAME)
    hub.requests.clear()
    rehearsed = stranger.publish(folders[1], NAME, tag="wide", dry_run=True)
    assert rehearsed.done is not None, rehearsed.failed
    assert hub.count("POST|PUT") == 0
    done = client.publish(folders[1], NAME, tag="wide").done
    assert done is not None
    assert rehearsed.done["changes"] == done["changes"], "the rehearsal told what was done"


def test_a_pull_request_changes_nothing_and_the_tag_comes_when_it_is_merged(
    hub: Hub, client: HubClient, folders: tuple[Path, Path]
) -> None:
    assert "nothing to open a pull request against" in (client.publish(folders[1], NAME, pr=True).failed or [""])[1]
    client.publish(folders[0], NAME, tag="old")
    repo = hub.repos[NAME]
    before = repo.refs["main"]
    first = client.publish(folders[1], NAME, pr=True).done
    again = client.publish(folders[1], NAME, pr=True).done
    assert first is not None
    assert again is not None
    assert first["pull_request"] == again["pull_request"] == f"{hub.endpoint}/datasets/{NAME}/discussions/1"
    assert len(repo.titles) == 1, "two of them help nobody"
    assert repo.refs["main"] == before
    assert client.load(NAME, revision="refs/pr/1").rows == rows(folders[1])
    repo.commit("main", repo.files("refs/pr/1"), "Merge")
    merged = client.publish(folders[1], NAME, tag="new").done
    assert merged is not None
    assert (merged["committed"], merged["tagged"]) == (False, True)


def test_somebody_elses_dataset_is_not_overwritten_by_mistake(
    hub: Hub, client: HubClient, folders: tuple[Path, Path]
) -> None:
    repo = hub.add(NAME, {"README.md": b"# Mine\n", "data.csv": b"a\n1\n"})
    found = client.publish(folders[0], NAME)
    assert found.failed is not None
    assert found.failed[1] == "the dataset holds no release of curate, and files of the same names: README.md"
    assert repo.files()["README.md"] == b"# Mine\n"
    rehearsed = client.publish(folders[0], NAME, dry_run=True).done
    assert rehearsed is not None
    assert rehearsed["refused"] == found.failed[1]
    assert rehearsed["changes"]["README.md"] == "change"
    found = client.publish(folders[0], NAME, overwrite=True)
    assert found.done is not None
    assert repo.files()["data.csv"] == b"a\n1\n"
    assert client.load(NAME).rows == rows(folders[0])


def test_a_public_dataset_is_not_taken_for_a_private_one(
    hub: Hub, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.add(NAME, {})
    found = client.publish(folders[0], NAME, private=True)
    assert found.failed is not None
    assert found.failed[1] == "the dataset exists and is public; nothing was sent"
    assert hub.count("POST|PUT") == 0


def test_a_dataset_that_a_token_may_not_see_is_not_taken_for_a_new_one(
    hub: Hub, client: HubClient, folders: tuple[Path, Path]
) -> None:
    repo = hub.add(NAME, {})
    hub.faults.append(Fault("GET /api/datasets/me/band", "hide", times=99))
    found = client.publish(folders[0], NAME)
    assert found.failed is not None
    assert found.failed[1] == "the dataset exists and is not shown to this token"
    assert len(repo.commits) == 1


def test_a_folder_that_is_not_what_its_manifest_says_is_refused(
    hub: Hub, client: HubClient, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(folders[0], out)
    (out / "notes.txt").write_text("not part of it")
    (out / "README.md").write_text((out / "README.md").read_text() + "\nEdited by hand.\n")
    found = client.publish(out, NAME)
    assert found.done is not None, found.failed
    assert found.done["left_out"] == ["notes.txt"]
    assert "notes.txt" not in hub.repos[NAME].files()
    assert hub.repos[NAME].files()["README.md"].endswith(b"Edited by hand.\n")
    data = out / "default" / "train-00000-of-00001.parquet"
    data.write_bytes(data.read_bytes()[:-1] + b"?")
    found = client.publish(out, NAME)
    assert found.failed is not None
    assert found.failed[1].endswith("is not the file that the manifest names")
    data.unlink()
    assert "lacks default/train" in (client.publish(out, NAME).failed or [""])[1]
    (out / "manifest.json").unlink()
    assert (client.publish(out, NAME).failed or [""])[1] == "there is no finished release here"


def test_a_card_that_the_hub_refuses_is_explained(
    hub: Hub, client: HubClient, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    filter(folders[0].parent / "profile", to=out, license="my-own-licence")
    hub.add(NAME, {})
    found = client.publish(out, NAME)
    assert found.failed is not None
    assert "Invalid metadata in README.md" in found.failed[1]
    assert '"license"' in found.failed[1]
    assert found.failed[3] == "correct the metadata at the top of README.md"
    assert hub.count("PUT") == 0


def test_an_empty_release_publishes_and_loads(
    hub: Hub, client: HubClient, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    filter(folders[0].parent / "profile", to=out, band=(0.01, 0.02), allow_empty=True)
    assert client.publish(out, NAME).done is not None
    assert client.load(NAME, "excluded").rows == rows(out, "excluded")
    assert len(rows(out, "excluded")) == 6
    assert client.load(NAME, streaming=True).rows == []
    assert client.load(NAME).failed == ["ValueError", 'Instruction "train" corresponds to no data!']


def test_rollouts_go_as_a_config_of_their_own(
    hub: Hub, client: HubClient, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    profile, out, together = folders[0].parent / "profile", tmp_path / "out", tmp_path / "together"
    filter(profile, to=out)
    filter(profile, to=together, with_rollouts=True)
    found = client.publish(out, NAME, with_rollouts=str(profile))
    assert found.done is not None, found.failed
    assert contents(out) == contents(together), "whenever they are added"
    loaded = client.load(NAME, "rollouts").rows
    assert loaded == rows(out, "rollouts")
    assert len(loaded) == 64 + 64 + 63 + 64 + 5
    without = client.publish(folders[0], NAME, tag="without")
    assert without.done is not None
    assert without.done["changes"]["rollouts/train-00000-of-00001.parquet"] == "delete"


def test_the_token_is_nowhere(hub: Hub, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Not in what is said, whatever fails, nor in any file; also when the Hub itself repeats it."""
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    filter(folders[0].parent / "profile", to=out)
    hub.faults += [Fault("PUT", "busy"), Fault("/commit/", "echo"), Fault("/preupload/", "echo", skip=1)]
    told = []
    for token, code, *options in (
        (TOKEN, 1),
        (TOKEN, 1, "--debug"),
        (TOKEN[:-1] + "X", 1, "--debug"),
        (TOKEN + "\x0bodd", 1, "--debug"),
        (TOKEN + "ö", 1, "--debug"),
        (TOKEN, 0, "--json"),
    ):
        found = curate_command("publish", str(out), NAME, *options, endpoint=hub.endpoint, home=home, token=token)
        assert found.returncode == code, found.stderr
        told.append(found.stdout + found.stderr)
    assert not any(fault.times for fault in hub.faults)
    assert "authorization: Bearer [removed]" in told[0], "the Hub repeated it"
    assert "PUT" in told[0], "the client's own warning is passed on"
    assert "the token holds characters that no token has" in told[3]
    assert hub.repos[NAME].refs["main"] in told[-1]
    files = [file for folder in (home, out) for file in folder.rglob("*") if file.is_file()]
    sent = [*hub.repos[NAME].files().values(), *(one.message.encode() for one in hub.repos[NAME].commits.values())]
    texts = [text.encode() for text in told] + [file.read_bytes() for file in files] + sent
    assert not any(TOKEN[3:-1].encode() in text or b"s3cr3t" in text for text in texts)


def test_access_that_is_refused_says_what_is_needed(hub: Hub, folders: tuple[Path, Path], tmp_path: Path) -> None:
    def said(token: str | None, name: str = NAME) -> str:
        found = curate_command("publish", str(folders[0]), name, endpoint=hub.endpoint, home=tmp_path, token=token)
        assert found.returncode == 1
        assert "Traceback" not in found.stderr
        return found.stderr

    assert "there is no token" in said(None)
    assert "the Hub does not accept the token" in said("hf_AnotherTokenThatNobodyKnows00")
    hub.add(NAME, {})
    assert "the Hub does not accept the token" in said("hf_AnotherTokenThatNobodyKnows00")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"repo_id": "band"}, "'band' is no name of a dataset"),
        ({"repo_id": "a/b/c"}, "'a/b/c' is no name of a dataset"),
        ({"pr": True, "tag": "v1"}, "a pull request gets no tag"),
        ({"pr": True, "private": True}, "a pull request makes no repository"),
        ({"tag": "no space"}, "'no space' cannot be a tag"),
        ({"tag": "a..b"}, "'a..b' cannot be a tag"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(options: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        publish(tmp_path, **{"repo_id": NAME, **options})  # type: ignore[arg-type]
    assert caught.value.message == said

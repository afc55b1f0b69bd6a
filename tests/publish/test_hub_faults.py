"""A bad network: after each fault the dataset is the older release or the new one, and loads as such.

The real clients against a Hub on the loopback that answers as the Hub does, and fails on demand.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from publish.hub_client import HubClient, environment
from publish.hub_server import TOKEN, Fault, Hub, Repo
from publish.releases import contents, rows

NAME = "me/band"
COMMIT = "POST /api/datasets/me/band/commit"
PUT = "PUT /objects"


@pytest.fixture
def repo(hub: Hub, client: HubClient, folders: tuple[Path, Path]) -> Repo:
    """A dataset that holds the older release."""
    assert client.publish(folders[0], NAME, tag="old").done is not None
    hub.requests.clear()
    return hub.repos[NAME]


def held(repo: Repo) -> dict[str, bytes]:
    return {path: content for path, content in repo.files().items() if path != ".gitattributes"}


def assert_holds(repo: Repo, folder: Path, client: HubClient) -> None:
    """The very bytes, and for ``load_dataset`` the very rows."""
    assert held(repo) == contents(folder)
    for config in ("default", "excluded"):
        loaded = client.load(NAME, config, revision=repo.refs["main"])
        assert loaded.rows == rows(folder, config), loaded.failed


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        ("GET /api/datasets/me/band$", "busy"),
        ("GET /api/datasets/me/band/tree", "down"),
        ("HEAD .*/manifest.json", "lose"),
        ("GET .*/manifest.json", "stall"),
        ("GET /api/datasets/me/band/refs", "stall"),
        ("POST /api/validate-yaml", "busy"),
        ("POST .*/preupload/", "down"),
        ("POST .*/objects/batch", "lose"),
        (PUT, "busy"),
        (PUT, "down"),
        (PUT, "stall"),
        (PUT, "cut"),
        (PUT, "lose"),
        (COMMIT, "busy"),
        (COMMIT, "down"),
        (COMMIT, "stall"),
        (COMMIT, "cut"),
        (COMMIT, "lose"),
        ("POST .*/tag/", "down"),
        ("POST .*/tag/", "lose"),
    ],
)
def test_one_fault_delays_the_release_and_no_more(
    request_: str, kind: str, hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.faults.append(Fault(request_, kind))  # type: ignore[arg-type]
    found = client.publish(folders[1], NAME, tag="new")
    assert hub.faults[0].times == 0, "the fault was met"
    assert found.done is not None, found.failed
    assert found.said or kind == "lose", "a person is told why it takes longer"
    assert len(repo.commits) == 3, "the first one, the older release, and the new one, once"
    assert repo.refs["refs/tags/new"] == repo.refs["main"] == found.done["commit"]
    assert_holds(repo, folders[1], client)


@pytest.mark.parametrize("as_date", [False, True])
def test_the_hub_is_given_the_time_that_it_asks_for(
    as_date: bool, hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.faults.append(Fault(COMMIT, "busy", retry_after=4, as_date=as_date))
    found = client.publish(folders[1], NAME, tag="new")
    assert found.done is not None
    (line,) = found.said
    pause = re.fullmatch(r"the Hub answers 429; trying again in ([\d.]+) s \(1 of 4\)", line)
    assert pause is not None, line
    # A date has whole seconds; without the Hub's wish it were one second.
    assert 2.0 < float(pause[1]) <= 4.0
    assert_holds(repo, folders[1], client)


def test_a_hub_that_asks_for_more_than_ten_minutes_is_left_in_peace(
    hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.faults.append(Fault(COMMIT, "busy", retry_after=3600))
    found = client.publish(folders[1], NAME, tag="new")
    assert found.failed is not None
    assert found.failed[1] == "cannot commit the release: the Hub answers 429, and asks to wait 3600 s"
    assert_holds(repo, folders[0], client)


@pytest.mark.parametrize("kind", ["busy", "down", "stall", "cut"])
def test_a_hub_that_stays_away_leaves_the_older_release_and_the_same_call_continues(
    kind: str, hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.faults.append(Fault(COMMIT, kind, times=99))  # type: ignore[arg-type]
    found = client.publish(folders[1], NAME, tag="new", attempts=2)
    assert found.failed is not None
    assert found.failed[1].startswith("cannot commit the release: the Hub ")
    assert "run the same command again" in found.failed[3]
    assert_holds(repo, folders[0], client)
    assert "refs/tags/new" not in repo.refs
    hub.faults.clear()
    hub.requests.clear()
    again = client.publish(folders[1], NAME, tag="new")
    assert again.done is not None
    assert hub.count(PUT) == 0, "large files that arrived are not sent again"
    assert_holds(repo, folders[1], client)


def test_a_commit_that_landed_late_is_found_and_not_made_again(
    hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.faults += [Fault(COMMIT, "lose"), Fault("GET /api/datasets/me/band$", "down", skip=1, times=2)]
    found = client.publish(folders[1], NAME, tag="new")
    assert found.done is not None
    assert hub.count(COMMIT) == 1, "the repository was looked at"
    assert found.done["commit"] == repo.refs["main"]
    assert_holds(repo, folders[1], client)


def test_a_commit_that_lands_after_the_repository_was_looked_at_is_not_made_twice(
    hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.faults.append(Fault(COMMIT, "late"))
    found = client.publish(folders[1], NAME, tag="new")
    assert found.done is not None, found.failed
    assert hub.count(COMMIT) == 2, "it was sent again, and its parent was outdated"
    assert len(repo.commits) == 3
    assert found.done["commit"] == repo.refs["main"]
    assert_holds(repo, folders[1], client)


def test_a_release_whose_last_tries_are_lost_is_there_for_the_next_call(
    hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.faults.append(Fault("POST .*/tag/", "down", times=99))
    found = client.publish(folders[1], NAME, tag="new", attempts=2)
    assert found.failed is not None
    assert found.failed[1].startswith(
        f"the release is there, in commit {repo.refs['main'][:12]}, but cannot set the tag"
    )
    assert_holds(repo, folders[1], client)
    hub.faults.clear()
    hub.requests.clear()
    again = client.publish(folders[1], NAME, tag="new")
    assert again.done is not None
    assert (again.done["committed"], again.done["tagged"]) == (False, True)
    assert hub.count("POST") == 1


def test_a_race_is_explained_and_costs_nobody_anything(
    hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.faults.append(Fault(COMMIT, "race"))
    before = repo.refs["main"]
    found = client.publish(folders[1], NAME, tag="new")
    assert found.failed is not None
    assert found.failed[0] == "ReleaseError"
    assert found.failed[1] == (
        f"someone else committed while the release was on its way: main was at {before[:12]} and is at "
        f"{repo.refs['main'][:12]}, which does not hold the release"
    )
    assert "run the same command again" in found.failed[3]
    assert held(repo) == {**contents(folders[0]), "theirs.txt": b"first\n"}
    again = client.publish(folders[1], NAME, tag="new")
    assert again.done is not None
    assert again.done["left_alone"] == ["theirs.txt"]
    assert held(repo) == {**contents(folders[1]), "theirs.txt": b"first\n"}


@pytest.mark.parametrize("kind", ["lose", "down"])
def test_a_new_dataset_is_made_once(
    kind: str, hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.repos.clear()
    hub.faults.append(Fault("POST /api/repos/create", kind))  # type: ignore[arg-type]
    found = client.publish(folders[0], NAME)
    assert found.done is not None
    assert len(hub.repos[NAME].commits) == 2
    assert_holds(hub.repos[NAME], folders[0], client)


def test_a_lost_pull_request_is_found_and_not_opened_again(
    hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path]
) -> None:
    hub.faults.append(Fault(COMMIT, "lose"))
    found = client.publish(folders[1], NAME, pr=True)
    assert found.done is not None
    assert len(repo.titles) == 1
    assert found.done["pull_request"] == f"{hub.endpoint}/datasets/{NAME}/discussions/1"
    assert_holds(repo, folders[0], client)


def test_a_killed_upload_leaves_the_older_release_and_the_next_sends_the_rest(
    hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    hub.faults.append(Fault(PUT, "stall", times=99, skip=1))
    command = [sys.executable, "-m", "curate.cli.main", "publish", str(folders[1]), NAME, "--tag", "new"]
    killed = subprocess.Popen(
        command, env=environment(hub.endpoint, tmp_path, TOKEN), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    arrived = len(hub.objects)
    while hub.count(PUT) < 2 or len(hub.objects) == arrived:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert_holds(repo, folders[0], client)
    hub.faults.clear()
    missing = {path for path, content in contents(folders[1]).items() if path.endswith(".parquet")
               and content not in hub.objects.values()}  # fmt: skip
    hub.requests.clear()
    assert client.publish(folders[1], NAME, tag="new").done is not None
    assert hub.count(PUT) == len(missing) >= 1
    assert_holds(repo, folders[1], client)


def test_two_calls_at_once_make_one_commit(
    hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    hub.faults.append(Fault(COMMIT, "wait", times=2))
    command = [sys.executable, "-m", "curate.cli.main", "publish", str(folders[1]), NAME, "--tag", "new"]
    both = [
        subprocess.Popen(command, env=environment(hub.endpoint, tmp_path, TOKEN), stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [one.wait(timeout=60) for one in both] == [0, 0]
    assert len(repo.commits) == 3
    assert hub.count(COMMIT) == 2, "both were there at once"
    assert_holds(repo, folders[1], client)


def test_an_interrupted_call_says_that_the_same_command_continues(
    hub: Hub, repo: Repo, client: HubClient, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    hub.faults.append(Fault(PUT, "stall", times=99))
    command = [sys.executable, "-m", "curate.cli.main", "publish", str(folders[1]), NAME, "--tag", "new"]
    env = environment(hub.endpoint, tmp_path, TOKEN)
    running = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not hub.count(PUT):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    # The client's threads end their requests first; these succeed when they try again.
    hub.faults.clear()
    said, complained = running.communicate(timeout=60)
    assert running.returncode == 3
    assert said == ""
    assert "run the same command again" in complained
    assert_holds(repo, folders[0], client)

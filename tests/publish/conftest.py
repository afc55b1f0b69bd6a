"""A Hub, its client, and two releases, shared by the tests of one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from publish.hub_client import HubClient
from publish.hub_server import TOKEN, Hub
from publish.releases import measured

from curate.publish.release import filter


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An older release with a repair list, and a newer one that keeps more and has none."""
    place = tmp_path_factory.mktemp("releases")
    ledger = measured(place / "profile")
    filter(ledger.path, to=place / "old")
    filter(ledger.path, to=place / "new", band=(0.0, 0.9))
    return place / "old", place / "new"


@pytest.fixture(scope="module")
def served() -> Iterator[Hub]:
    """One Hub for a file of tests."""
    with Hub() as found:
        yield found


@pytest.fixture
def hub(served: Hub) -> Hub:
    """The Hub, empty."""
    for kept in (served.repos, served.objects, served.faults, served.requests):
        kept.clear()  # type: ignore[attr-defined]
    return served


@pytest.fixture(scope="module")
def client(served: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubClient]:
    """A process that publishes and loads, with a token."""
    found = HubClient(served.endpoint, tmp_path_factory.mktemp("home"), TOKEN)
    yield found
    found.close()


@pytest.fixture(scope="module")
def stranger(served: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubClient]:
    """A process without a token."""
    found = HubClient(served.endpoint, tmp_path_factory.mktemp("home"), None)
    yield found
    found.close()

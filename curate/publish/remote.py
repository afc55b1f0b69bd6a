"""What a dataset of the Hub holds, and how a release differs from it.

Owns the reading of a repository. Must not change one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from curate.publish import card, release
from curate.publish.client import Client

Tree = dict[str, Any]
"""The files of a repository at one commit, by their path: size, git's digest, and the SHA-256 of large ones."""


@dataclass(frozen=True)
class Change:
    """What publishing does to one file."""

    path: str
    kind: Literal["add", "change", "delete", "same"]
    size: int
    """Bytes: of our file, or of the one that is deleted."""


@dataclass(frozen=True)
class File:
    """One file of a release."""

    place: Path
    size: int
    sha256: str

    def is_same(self, entry: Any) -> bool:
        """Whether the repository holds these very bytes."""
        if entry.lfs:
            return bool(entry.lfs["sha256"] == self.sha256)
        if entry.size != self.size:
            return False
        content = self.place.read_bytes()
        return bool(hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == entry.blob_id)


class Remote:
    """One repository, seen from one release.

    Args:
        client: The client for it.
        files: The release, by the paths of its files.
    """

    def __init__(self, client: Client, files: dict[str, File]) -> None:
        self.client = client
        self.files = files
        self.at = {"repo_id": client.repo_id, "repo_type": "dataset"}

    def head(self) -> str:
        """The commit that ``main`` is at; empty where there is no such repository, or it is not shown."""
        api = self.client.api
        return str(self.client.ask("read the repository", lambda: api.dataset_info(self.at["repo_id"]).sha, missing=""))

    def tree(self, revision: str) -> Tree:
        """The files at a commit."""
        from huggingface_hub.hf_api import RepoFile

        def listed() -> Tree:
            entries = self.client.api.list_repo_tree(**self.at, recursive=True, revision=revision)
            return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

        return self.client.ask("list its files", listed)

    def older(self, head: str, tree: Tree) -> set[str]:
        """Files of the release that is there now; empty where there is none of ours."""
        if release.MANIFEST not in tree:
            return set()

        def fetched() -> str:
            with TemporaryDirectory() as folder:
                from huggingface_hub import hf_hub_download

                place = hf_hub_download(**self.at, filename=release.MANIFEST, revision=head, cache_dir=folder)
                return Path(place).read_text(encoding="utf-8", errors="replace")

        try:
            record = json.loads(self.client.ask("read its manifest", fetched))
        except ValueError:
            return set()
        ours = isinstance(record, dict) and "protocol_fingerprint" in record and isinstance(record.get("sha256"), dict)
        if not ours:
            return set()
        # Only what a release of ours could have written: a manifest that somebody forged deletes nothing else.
        named = {name for name in record["sha256"] if name == card.HISTOGRAM or name.split("/")[0] in release.CONFIGS}
        return (named | {release.MANIFEST, release.CARD}) & set(tree)

    def changes(self, tree: Tree, older: set[str]) -> tuple[Change, ...]:
        """What makes a commit hold the release: every file of it, and those of an older one that go, by path."""

        def kind(name: str, file: File) -> Literal["add", "change", "same"]:
            if name not in tree:
                return "add"
            return "same" if file.is_same(tree[name]) else "change"

        ours = [Change(name, kind(name, file), file.size) for name, file in self.files.items()]
        gone = [Change(name, "delete", tree[name].size) for name in older - set(self.files)]
        return tuple(sorted(ours + gone, key=lambda change: change.path))

    def holds(self, revision: str) -> bool:
        """Whether a commit holds this very release."""
        tree = self.tree(revision)
        return all(change.kind == "same" for change in self.changes(tree, self.older(revision, tree)))

    def tagged(self, tag: str) -> str | None:
        """The commit that a tag names."""
        refs = self.client.ask("read its tags", lambda: self.client.api.list_repo_refs(**self.at))
        return next((str(ref.target_commit) for ref in refs.tags if ref.name == tag), None)

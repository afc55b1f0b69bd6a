"""Publishing: a release folder becomes one commit of a Hub dataset, or none.

Owns what is compared, sent, deleted and tagged, and in which order. Must not make a release: the folder is uploaded as
it is. A repository holds the older release or the new one at any moment, whatever fails: all files go in one commit,
with the commit that was looked at as its parent. After a failure that may have come too late, the repository is looked
at before anything is sent again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from curate.errors import ReleaseError, UsageError
from curate.publish import release
from curate.publish.client import Client
from curate.publish.remote import Change, File, Remote


@dataclass(frozen=True)
class Published:
    """What was done, or with ``dry_run`` what would be."""

    repo_id: str
    url: str
    dry_run: bool
    created: bool
    """Whether the repository is new."""
    changes: tuple[Change, ...]
    """Every file of the release, and those of an older one that go, by path."""
    left_alone: tuple[str, ...]
    """Files of the repository that no release of ours put there."""
    parent: str | None
    """The commit that was compared with; None where there is no repository yet."""
    commit: str | None
    """The commit that holds the release; None where there is none yet."""
    committed: bool
    """Whether it was made now. Nothing to change means no commit."""
    pull_request: str | None
    """Where it is, if one was asked for."""
    tag: str | None
    tagged: bool
    """Whether the tag was set now."""
    refused: str | None
    """What a call without ``dry_run`` would be refused for."""
    left_out: tuple[str, ...] = ()
    """Files of the folder that are no part of the release."""


def publish(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    pr: bool = False,
    tag: str | None = None,
    dry_run: bool = False,
    with_rollouts: str | Path | None = None,
    overwrite: bool = False,
    timeout: float = 120.0,
    attempts: int = 6,
    report: Callable[[str], None] = lambda _: None,
) -> Published:
    """Publish a release as a dataset of the Hub: one commit with every file, and a tag.

    Files of an older release that are not in this one are deleted in the same commit; other people's files are left
    alone. Where the repository holds the release already, nothing is committed, and only a missing tag is set. An
    interrupted call is repeated: large files that arrived are not sent again.

    Args:
        folder: What ``filter`` wrote. Its files must be those that its manifest names; the card may have been edited.
        repo_id: ``owner/name``; made where it does not exist.
        private: Make it a private one. Refused where it exists and is public.
        pr: Open a pull request instead of committing, which needs no right to write. It sets no tag.
        tag: Names the commit; by default ``v<date of the profile>-<model>``.
        dry_run: Only compare. Needs no token where the dataset is public.
        with_rollouts: The profile's folder: its rollouts are added to the release first (in the folder, too), as the
            config ``rollouts``, and the card is written anew.
        overwrite: Replace files of the same names in a repository that holds no release of ours, such as its card.
        timeout: Seconds without a sign of life after which a request counts as lost.
        attempts: How often a step is tried, waiting longer each time, or as long as the Hub asks.
        report: Called with a line of text when something has to be waited for.

    Returns:
        What was done.

    Raises:
        UsageError: the name or the tag cannot be one, or the options contradict each other.
        ReleaseError: the folder is no whole release, the Hub refuses or does not answer, someone else committed
            meanwhile, or the tag names another release. The repository is then as it was, unless the message says that
            the commit was made.
    """
    _refuse_contradictions(repo_id, private, pr, tag)
    place = Path(folder)
    if with_rollouts is not None:
        release.add_rollouts(place, with_rollouts)
    record = release.read(place)
    files = _verified(place, record)
    publisher = _Publisher(Client(repo_id, timeout, attempts, report), record, files)
    done = publisher.run(
        private=private, pr=pr, tag=None if pr else tag or _tag(record), dry_run=dry_run, overwrite=overwrite
    )
    return replace(done, left_out=_left_out(place, files))


class _Publisher:
    """One release on its way to one repository."""

    def __init__(self, client: Client, record: dict[str, Any], files: dict[str, File]) -> None:
        self.client = client
        self.record = record
        self.files = files
        self.remote = Remote(client, files)
        self.at = self.remote.at

    def run(self, *, private: bool, pr: bool, tag: str | None, dry_run: bool, overwrite: bool) -> Published:
        """Compare, and unless it is only a rehearsal commit and tag."""
        client = self.client
        if not dry_run and not client.has_token:
            raise ReleaseError("there is no token", where=client.url, hint="set HF_TOKEN, or run `hf auth login`")
        head = self.remote.head()
        created = not head
        if created and pr:
            raise ReleaseError(
                "there is nothing to open a pull request against",
                where=client.url,
                hint="publish without --pr, or check the name and the token",
            )
        refused = self._taken_for_private() if private and head else None
        if created and not dry_run:
            head = client.ask(
                "make the repository",
                lambda: client.api.create_repo(**self.at, private=private, exist_ok=True) and self.remote.head(),
                landed=lambda: self.remote.head() or None,
            )
            if not head:
                raise ReleaseError(
                    "the dataset exists and is not shown to this token",
                    where=client.url,
                    hint="use a token that may read and write it, or publish to another name",
                )
        tree = self.remote.tree(head) if head else {}
        older = self.remote.older(head, tree)
        changes = self.remote.changes(tree, older)
        target = self.remote.tagged(tag) if tag and head else None
        refused = (
            refused or (None if overwrite or older else self._somebody_elses(changes)) or self._other_tag(tag, target)
        )
        if refused and not dry_run:
            raise refused
        different = any(change.kind != "same" for change in changes)
        commit, committed, pull_request = (None if different else head or None), False, None
        if different and not dry_run:
            commit, pull_request = self._propose(head, changes) if pr else (self._commit(head, changes), None)
            committed = True
        tagged = False
        if tag and commit and not target and not dry_run:
            tagged = self._set_tag(tag, commit)
        ours = {change.path for change in changes} | {".gitattributes"}
        return Published(
            repo_id=self.at["repo_id"],
            url=client.url,
            dry_run=dry_run,
            created=created,
            changes=changes,
            left_alone=tuple(sorted(set(tree) - ours)),
            parent=head or None,
            commit=commit,
            committed=committed,
            pull_request=pull_request,
            tag=tag,
            tagged=tagged,
            refused=refused.message if refused else None,
        )

    # -- what is refused ----------------------------------------------------------------------------------------------

    def _taken_for_private(self) -> ReleaseError | None:
        api = self.client.api
        if self.client.ask("read the repository", lambda: api.dataset_info(self.at["repo_id"])).private:
            return None
        return ReleaseError(
            "the dataset exists and is public; nothing was sent",
            where=self.client.url,
            hint="make it private in its settings, or publish to another name",
        )

    def _somebody_elses(self, changes: tuple[Change, ...]) -> ReleaseError | None:
        theirs = [change.path for change in changes if change.kind == "change"]
        if not theirs:
            return None
        return ReleaseError(
            f"the dataset holds no release of curate, and files of the same names: {', '.join(theirs)}",
            where=self.client.url,
            hint="publish to another name, or replace them with --overwrite; --dry-run shows what would change",
        )

    def _other_tag(self, tag: str | None, target: str | None) -> ReleaseError | None:
        if not target or self.remote.holds(target):
            return None
        return ReleaseError(
            f"the tag {tag!r} names another release, in commit {target[:12]}",
            where=self.client.url,
            hint="choose another with --tag, or delete that one if it was a mistake",
        )

    # -- what is done -------------------------------------------------------------------------------------------------

    def _operations(self, changes: tuple[Change, ...]) -> list[Any]:
        """Made anew for each attempt: the client marks them as it goes."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        sent = [
            CommitOperationAdd(path_in_repo=change.path, path_or_fileobj=str(self.files[change.path].place))
            for change in changes
            if change.kind in ("add", "change")
        ]
        gone = [CommitOperationDelete(path_in_repo=change.path) for change in changes if change.kind == "delete"]
        return sent + gone

    def _described(self) -> dict[str, str]:
        band = self.record["band"]
        title = f"Release {_tag(self.record)}"
        kept = f"{self.record['kept']:,} of {self.record['problems']['profiled']:,} problems kept"
        return {
            "commit_message": title,
            "commit_description": f"{kept}, in the band [{band['low']:g}, {band['high']:g}] "
            f"under protocol {self.record['protocol_fingerprint']}.",
        }

    def _commit(self, head: str, changes: tuple[Change, ...]) -> str:
        api = self.client.api

        def commit() -> str:
            made = api.create_commit(
                **self.at, operations=self._operations(changes), parent_commit=head, **self._described()
            )
            return str(made.oid)

        def landed() -> str | None:
            now = self.remote.head()
            if now == head:
                return None
            if now and self.remote.holds(now):
                return now
            raise ReleaseError(
                f"someone else committed while the release was on its way: main was at {head[:12]} and is at "
                f"{now[:12] or 'no commit'}, which does not hold the release",
                where=self.client.url,
                hint="see what changed with --dry-run, then run the same command again, or open a pull request (--pr)",
            )

        return self.client.ask("commit the release", commit, landed=landed)

    def _propose(self, head: str, changes: tuple[Change, ...]) -> tuple[str, str]:
        """Open a pull request, or find the open one that holds this release: two of them help nobody."""
        api = self.client.api

        def proposed() -> tuple[str, str] | None:
            refs = self.client.ask(
                "read its pull requests", lambda: api.list_repo_refs(**self.at, include_pull_requests=True)
            )
            heads = {ref.ref: str(ref.target_commit) for ref in refs.pull_requests or ()}
            found = self.client.ask(
                "read its pull requests",
                lambda: list(
                    api.get_repo_discussions(**self.at, discussion_type="pull_request", discussion_status="open")
                ),
            )
            for one in found:
                commit = heads.get(f"refs/pr/{one.num}")
                if commit and self.remote.holds(commit):
                    return commit, one.url
            return None

        def propose() -> tuple[str, str]:
            made = api.create_commit(
                **self.at, operations=self._operations(changes), parent_commit=head, create_pr=True, **self._described()
            )
            return str(made.oid), str(made.pr_url)

        return proposed() or self.client.ask("open a pull request", propose, landed=proposed)

    def _set_tag(self, tag: str, commit: str) -> bool:
        api = self.client.api

        def set_tag() -> bool:
            api.create_tag(**self.at, tag=tag, revision=commit)
            return True

        def landed() -> bool | None:
            target = self.remote.tagged(tag)
            return True if target and self.remote.holds(target) else None

        try:
            return self.client.ask(f"set the tag {tag!r}", set_tag, landed=landed)
        except ReleaseError as error:
            raise ReleaseError(
                f"the release is there, in commit {commit[:12]}, but {error.message}",
                where=error.where,
                hint="run the same command again: it only sets the tag",
            ) from None


def _refuse_contradictions(repo_id: str, private: bool, pr: bool, tag: str | None) -> None:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):
        raise UsageError(f"{repo_id!r} is no name of a dataset", where="REPO_ID", hint="names are owner/name")
    if pr and (tag or private):
        raise UsageError(
            f"a pull request {'gets no tag' if tag else 'makes no repository'}",
            where="--pr",
            hint="publish again when it is merged: nothing is committed then, and the tag is set"
            if tag
            else "publish without --pr, or without --private",
        )
    if tag and (
        not re.fullmatch(r"[A-Za-z0-9][\w.+-]*(/[\w.+-]+)*", tag) or ".." in tag or tag.endswith((".lock", "."))
    ):
        raise UsageError(f"{tag!r} cannot be a tag", where="--tag", hint="letters, digits, dots and dashes: v1.0")


def _tag(record: dict[str, Any]) -> str:
    """``v<date>-<model>``, both of the profile: the same release has the same tag on any day."""
    date = str(record["profile_updated"] or "undated")[:10]
    model = re.split(r"[/:\\]", str(record["model"]["path"]).rstrip("/"))[-1]
    plain = re.sub(r"[^A-Za-z0-9._-]+|\.\.+", "-", model).strip(".-") or "model"
    return f"v{date}-{plain.removesuffix('.lock')}"


def _verified(folder: Path, record: dict[str, Any]) -> dict[str, File]:
    """The files of the release, by their path in the repository; its data must be what its manifest says."""
    again = f"write it anew: curate filter DIR --to {folder}"
    files = {}
    for name in sorted({release.MANIFEST, release.CARD, *record["sha256"]}):
        place = folder / name
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or not place.is_file():
            raise ReleaseError(f"the release lacks {name}", where=str(folder), hint=again)
        files[name] = File(place, place.stat().st_size, release.digest(place))
        if record["sha256"].get(name, files[name].sha256) != files[name].sha256:
            raise ReleaseError(f"{name} is not the file that the manifest names", where=str(place), hint=again)
    return files


def _left_out(folder: Path, files: dict[str, File]) -> tuple[str, ...]:
    """Files that lie in the folder and belong to nothing."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    shown = (file.as_posix() for file in found if not any(part.startswith(".") for part in file.parts))
    return tuple(sorted(set(shown) - set(files)))

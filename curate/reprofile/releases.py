"""Releases: what a published dataset says of the profile that it was made from.

Owns the reading of a release's manifest, from a folder or from the Hub.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from curate.errors import ReleaseError
from curate.ledger import RELEASE_MARK


def release_manifest(name: str | Path) -> dict[str, Any] | None:
    """The manifest of a release.

    Args:
        name: A folder, or the Hub id of a dataset: ``owner/name``.

    Returns:
        The manifest; None where the name is a folder that is no release.

    Raises:
        ReleaseError: there is neither a folder nor a dataset of that name, or the dataset is no release.
    """
    folder = Path(name)
    if folder.exists():
        file = folder / "manifest.json"
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return found if RELEASE_MARK in found else None
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
        return None
    return _from_hub(str(name))


def _from_hub(repo: str) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError

    try:
        file = hf_hub_download(repo, "manifest.json", repo_type="dataset")
    except EntryNotFoundError as error:
        raise ReleaseError("the dataset has no manifest.json: it is no release of ours", where=repo) from error
    except RepositoryNotFoundError as error:
        raise ReleaseError(
            "there is neither a folder of that name nor a dataset on the Hub that you can see",
            where=repo,
            hint="check the spelling; a private one needs `hf auth login`",
        ) from error
    except (HfHubHTTPError, OSError) as error:
        text = str(error).strip().splitlines()
        raise ReleaseError(
            f"the Hub cannot be asked: {text[0] if text else type(error).__name__}", where=repo, hint="try again later"
        ) from error
    found: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    if RELEASE_MARK not in found:
        raise ReleaseError("its manifest.json is not that of a release", where=repo)
    return found

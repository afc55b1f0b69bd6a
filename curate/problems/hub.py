"""Rows of Hub datasets and of local dataset folders, through ``datasets``.

Owns everything that asks the Hub. Must not know which column means what. Rows come through Arrow and not through
the feature decoders, so that pictures and sounds are not decoded, nor their libraries needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError
from curate.problems.files import Row, Source, arrow_rows
from curate.recipe import ProblemsSection

_BATCH = 10_000
_COMMIT = re.compile(r"[0-9a-f]{40}")


def open_folder(path: Path, section: ProblemsSection) -> Source:
    """The rows of a local folder that ``load_dataset`` can read, such as a release.

    Raises:
        ProblemsError: it holds no data files, several configs and none is chosen, or no such split.
    """
    from datasets import load_dataset

    try:
        # Streamed: a copy in the cache would outlive the folder and help nobody.
        dataset = load_dataset(str(path), section.config, split=section.split, streaming=True)
    except Exception as error:
        raise _explained(error, section) from error
    return Source(str(path), str(path), "row", _rows(dataset, section))


def open_hub(section: ProblemsSection) -> Source:
    """The rows of a Hub dataset at one commit.

    Without a connection the copy in the local cache is read, if there is one, and named by its own commit.

    Raises:
        ProblemsError: there is no such dataset, config, split or revision, access is refused, or the Hub cannot be
            reached and nothing is cached.
    """
    from datasets import load_dataset

    commit, license = _commit(section)
    try:
        dataset = load_dataset(section.source, section.config, split=section.split, revision=commit)
    except Exception as error:
        raise _explained(error, section) from error
    # Offline, datasets falls back to whichever commit it has, so what was really read is taken from its place on disk.
    cached = {Path(file["filename"]).parent.name for file in dataset.cache_files}
    read = next((name for name in cached if _COMMIT.fullmatch(name)), None)
    if commit is None and read is None:
        raise ProblemsError(
            "cannot tell which commit was read", where=section.source, hint="set problems.revision to a commit"
        )
    if commit is not None and read is not None and commit != read:
        raise ProblemsError(
            f"revision {commit} was asked for, only {read} is in the local cache",
            where=section.source,
            hint="connect to the Hub, or set problems.revision to the cached commit",
        )
    return Source(section.source, f"{section.source}@{commit or read}", "row", _rows(dataset, section), license)


def _commit(section: ProblemsSection) -> tuple[str | None, str | None]:
    """The commit that the revision means, and the licence that the dataset names.

    The commit is None where the Hub cannot be asked and none is named; the licence where the Hub is not asked.
    """
    from huggingface_hub import HfApi

    if section.revision and _COMMIT.fullmatch(section.revision):
        return section.revision, None
    try:
        info = HfApi().dataset_info(section.source, revision=section.revision, timeout=60.0)
    except Exception as error:
        if not _is_connection_error(error):
            raise _explained(error, section) from error
        if section.revision is not None:
            raise ProblemsError(
                f"the Hub cannot be asked which commit {section.revision!r} is",
                where=section.source,
                hint="connect, or set problems.revision to a commit",
            ) from error
        return None, None
    license = info.card_data.license if info.card_data else None
    return info.sha, license if isinstance(license, str) else None


def _rows(dataset: Any, section: ProblemsSection) -> Iterator[tuple[int, Row]]:
    try:
        yield from arrow_rows(dataset.with_format("arrow").iter(batch_size=_BATCH))
    except Exception as error:
        raise _explained(error, section) from error


def _is_connection_error(error: BaseException | None) -> bool:
    """By name too: each HTTP library that may stand below the Hub's client has its own tree of errors."""
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError):
            return True
        if re.search("Connect|Timeout|Offline|Proxy|Protocol|ReadError|SSLError", type(error).__name__):
            return True
        error = error.__cause__ or error.__context__
    return False


def _explained(error: Exception, section: ProblemsSection) -> ProblemsError:
    """What a failure of ``datasets`` or the Hub means for the recipe."""
    text = " ".join(str(error).split())
    kind = type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    message, hint = f"cannot load the dataset: {kind}: {text[:300]}", None
    if "Config name is missing" in text or "BuilderConfig" in text:
        configs = _names(text)
        chosen = f"there is no config {section.config!r}" if section.config else "the dataset has several configs"
        message, hint = chosen, f"set problems.config to one of: {', '.join(configs)}"
    elif "Unknown split" in text or "Bad split" in text:
        message, hint = (
            f"there is no split {section.split!r}",
            f"set problems.split to one of: {', '.join(_names(text))}",
        )
    elif kind == "HFValidationError":
        message, hint = f"{section.source!r} is neither a file nor the name of a Hub dataset", "names are owner/name"
    elif kind == "GatedRepoError" or "gated dataset" in text:
        message, hint = "access to the dataset is restricted", "accept its terms on the Hub and run `hf auth login`"
    elif kind == "RevisionNotFoundError" or text.startswith("Revision "):
        message, hint = f"there is no revision {section.revision!r}", "set problems.revision to a branch, tag or commit"
    elif kind in {"RepositoryNotFoundError", "DatasetNotFoundError"} or status in {401, 403, 404}:
        message = "the Hub has no such dataset, or does not show it to you"
        hint = "check the name (owner/name); a private one needs `hf auth login`; a file needs its suffix"
    elif kind in {"DataFilesNotFoundError", "EmptyDatasetError"}:
        message, hint = "it holds no data files that `datasets` can read", "use .jsonl, .json, .csv or .parquet files"
    elif status is not None and (status == 429 or status >= 500):
        message, hint = f"the Hub answers {status}", "try again later"
    elif _is_connection_error(error):
        message, hint = f"the Hub cannot be reached: {text[:200]}", "connect, or name a local file in problems.source"
    first, slash, _ = section.source.partition("/")
    missing = message.startswith(("the Hub has no such", "the Hub cannot be reached"))
    if missing and slash and Path(first).is_dir():
        message = f"there is no file or folder {section.source!r}; as a dataset of the Hub: {message}"
        hint = "check the spelling; relative paths are relative to the working directory"
    return ProblemsError(message, where=section.source, hint=hint)


def _names(text: str) -> list[str]:
    """The names in the list that ends such a complaint."""
    found = re.findall(r"\[([^\]]*)\]", text)
    return re.findall(r"'([^']*)'", found[-1]) if found else []

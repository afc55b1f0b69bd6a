"""Targets: which checkpoint a profile should be of by now.

Owns the search for a newer one: a later ``checkpoint-*`` folder, another commit on the Hub, other bytes in a folder.
Must not load weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate import engines
from curate.engines import checkpoint
from curate.errors import CurateError, UsageError
from curate.recipe import EngineSection, ModelSection, SamplingSection, resolve_path
from curate.summary import STEP


@dataclass(frozen=True)
class Target:
    """The checkpoint that is asked about."""

    path: str
    """A folder or a Hub id, as a recipe's ``model.path`` takes it."""
    revision: str | None
    """Immutable, as in a manifest; None where it cannot be told."""
    step: int | None
    why_unknown: str = ""
    """Why the revision cannot be told."""


def newest(manifest: Mapping[str, Any], asked: str | None = None) -> Target:
    """The newest checkpoint of the model that a profile or a release is of.

    A folder that holds checkpoints stands for the one of the highest step. Without ``asked`` it is the folder in which
    the profile's own checkpoint lies, where that is named as trainers name theirs, else the profile's own model: its
    branch on the Hub, the bytes in its folder, the name that a server gives.

    Args:
        manifest: The profile's or the release's.
        asked: A folder, a folder of checkpoints, or a Hub id, in place of the profile's own model.

    Raises:
        UsageError: what was asked for is a folder without a checkpoint.
        EngineError: what was asked for cannot be found.
    """
    recipe = manifest.get("recipe") or {}
    section = ModelSection.model_validate(recipe.get("model") or {"path": manifest["model"]["path"]})
    folder = resolve_path(asked if asked is not None else section.path)
    if asked is not None:
        section = section.model_copy(update={"path": asked, "revision": None})
        if folder is not None and folder.is_dir() and not (folder / "config.json").exists():
            found = _latest(folder)
            if found is None:
                raise UsageError(
                    "the folder holds neither a model nor checkpoints",
                    where=str(folder),
                    hint="name a folder with config.json, or one of folders such as checkpoint-400",
                )
            section = section.model_copy(update={"path": str(found)})
    elif folder is not None and STEP.search(folder.name) and (found := _latest(folder.parent)) is not None:
        section = section.model_copy(update={"path": str(found)})
    named = STEP.search(section.path) or STEP.search(section.revision or "")
    step = int(named.group(1)) if named else None
    try:
        revision = _revision(section, recipe)
    except CurateError as error:
        if asked is not None:
            raise
        return Target(section.path, None, step, str(error))
    unknown = "" if revision != "unknown" else "the server does not tell its revision"
    return Target(section.path, None if unknown else revision, step, unknown)


def _revision(section: ModelSection, recipe: Mapping[str, Any]) -> str:
    engine = EngineSection.model_validate(recipe["engine"]) if recipe else None
    if engine is not None and engine.kind in ("scripted", "openai"):
        sampling = SamplingSection.model_validate(recipe["sampling"])
        return engines.connect(section, engine, sampling).identity().revision
    return checkpoint.resolve(section).revision


def _latest(folder: Path) -> Path | None:
    """The checkpoint of the highest step among the folders in a folder."""
    steps = {one: STEP.search(one.name) for one in folder.glob("*") if (one / "config.json").exists()}
    named = {one: int(found.group(1)) for one, found in steps.items() if found}
    return max(named, key=lambda one: (named[one], one.name)) if named else None

"""The recipe: YAML in, validated settings out, and the fingerprint of the protocol they describe.

Owns what a user may write in a recipe, with the place named in every complaint. Must not import any room: it neither
opens files of problems nor models. Unknown keys are refused, because a misspelt setting that is silently ignored
costs GPU hours.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from curate.errors import RecipeError
from curate.records import ModelIdentity
from curate.sections import (
    AuditSection,
    BandSection,
    BudgetSection,
    EarlySection,
    EngineSection,
    GuessSection,
    JudgeSection,
    ModelSection,
    ProblemsSection,
    PromptSection,
    Recipe,
    SamplingSection,
    Section,
    VerifierSection,
)

__all__ = [
    "AuditSection",
    "BandSection",
    "BudgetSection",
    "EarlySection",
    "EngineSection",
    "GuessSection",
    "JudgeSection",
    "ModelSection",
    "ProblemsSection",
    "PromptSection",
    "Recipe",
    "SamplingSection",
    "Section",
    "VerifierSection",
]


AnySection = TypeVar("AnySection", bound=Section)

_FILES = (
    ".jsonl",
    ".json",
    ".csv",
    ".parquet",
    ".ndjson",
    ".txt",
    ".tsv",
    ".xlsx",
    ".yaml",
    ".yml",
    ".gz",
    ".zst",
    ".zip",
    ".arrow",
)
"""Suffixes that no name on the Hub has."""
_LEAST = "{{name: mine, problems: {{source: {source}}}, model: {{path: Qwen/Qwen3-4B}}, engine: {{kind: vllm}}}}"


def load(path: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read and validate a recipe.

    Args:
        path: A YAML file.
        overrides: ``key.path=value`` settings, applied in order before validation; the value is YAML.

    Raises:
        RecipeError: the file is missing, is not YAML, or says something a recipe cannot say; names the key.
    """
    source = Path(path)
    if source.suffix.lower() in {".jsonl", ".csv", ".parquet"} and source.is_file():
        raise _no_recipe(source)
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(
            f"cannot read the recipe: {error.strerror}",
            where=str(source),
            hint="recipes are YAML files; docs/recipe.md has every key",
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError("the recipe is not UTF-8 text", where=str(source)) from error
    try:
        raw = _read_yaml(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that the calendar does not have
        mark = getattr(error, "problem_mark", None)
        place = f"{source}:{mark.line + 1}" if mark else str(source)
        raise RecipeError(f"not YAML: {getattr(error, 'problem', error)}", where=place) from error
    if isinstance(raw, list) and source.suffix.lower() == ".json":
        raise _no_recipe(source)
    return parse(raw, where=str(source), overrides=overrides)


def _no_recipe(source: Path) -> RecipeError:
    return RecipeError(
        "this is a file of problems; what is wanted is a recipe, a YAML file that names it",
        where=str(source),
        hint=f"the least recipe: {_LEAST.format(source=source)}; docs/recipe.md has every key",
    )


def parse(raw: object, *, where: str = "recipe", overrides: tuple[str, ...] = ()) -> Recipe:
    """Validate a recipe that is already a mapping.

    Raises:
        RecipeError: names ``where`` and the key of the first complaint, and counts the others.
    """
    if not isinstance(raw, dict):
        raise RecipeError("a recipe is a mapping of sections", where=where, hint="docs/recipe.md has every key")
    settings = copy.deepcopy(raw)
    for override in overrides:
        _apply(settings, override, "--set")
    settings = _as_json(settings, where)
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        complaints = error.errors()
        raise _explain(complaints[0], where, len(complaints) - 1) from error


def parse_section(kind: type[AnySection], raw: dict[str, Any], *, where: str) -> AnySection:
    """Validate one section on its own, as a command line that has no recipe needs it.

    Raises:
        RecipeError: as ``parse``.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        complaints = error.errors()
        raise _explain(complaints[0], where, len(complaints) - 1, kind) from error


def read_settings(texts: Sequence[str], *, where: str) -> dict[str, Any]:
    """Read ``key.path=value`` settings, whose values are YAML, into one mapping.

    Raises:
        RecipeError: one of them is written otherwise.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        _apply(settings, text, where)
    return _as_json(settings, where)


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once: of two, YAML keeps the last and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"the key {key.value!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _read_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def _as_json(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """Settings as the manifest will hold them."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(f"cannot be written as JSON: {error}", where=where, hint="keys are plain texts") from error
    return plain


def _apply(settings: dict[str, Any], override: str, where: str) -> None:
    key, sign, value = override.partition("=")
    if not sign or not key:
        raise RecipeError(f"cannot read {override!r}", where=where, hint="write key.path=value, e.g. band.low=0.1")
    node = settings
    *parents, leaf = key.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise RecipeError(f"{parent!r} in {key!r} is not a section", where=where)
    try:
        if value.lstrip().startswith("#"):
            raise ValueError("nothing but a comment")
        node[leaf] = _read_yaml(value)
    except (yaml.YAMLError, ValueError) as error:
        quoted = shlex.quote(f"{key}={json.dumps(value, ensure_ascii=False)}")
        raise RecipeError(
            f"the value in {override!r} is not YAML", where=where, hint=f"quote it for YAML too: {where} {quoted}"
        ) from error


def _explain(complaint: Any, where: str, others: int, root: type[Section] = Recipe) -> RecipeError:
    key = ".".join(str(part) for part in complaint["loc"])
    message = complaint["msg"].removeprefix("Value error, ")
    hint = None
    if complaint["type"] == "extra_forbidden":
        message = "unknown key"
        hint = _nearest(complaint["loc"], root)
    elif complaint["type"] == "missing":
        message = "required key is missing"
    elif "input" in complaint and not isinstance(complaint["input"], dict):
        message = f"{message}, got {complaint['input']!r}"
    if others:
        message += f" (and {others} more)"
    return RecipeError(message, where=f"{where}: {key}" if key else where, hint=hint)


def _nearest(location: tuple[Any, ...], root: type[Section]) -> str | None:
    from difflib import get_close_matches

    section: Any = root
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    close = get_close_matches(str(location[-1]), section.model_fields, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(section.model_fields)}"


def written_at(where: str, path: str | Path, overrides: Sequence[str] = ()) -> str:
    """Where a key was written that an error names: ``recipe.yaml: engine.kind``, or ``--set engine.kind``.

    Args:
        where: A key such as ``engine.kind``; what is no key of a recipe is given back as it is.
        path: The recipe's file.
        overrides: As for ``load``.
    """
    section, _, rest = where.partition(".")
    field = Recipe.model_fields.get(section)
    if field is None or re.split(r"[.: ]", rest)[0] not in getattr(field.annotation, "model_fields", {}):
        return where
    changed = {override.partition("=")[0] for override in overrides}
    return f"--set {where}" if any(f"{where}.".startswith(f"{key}.") for key in changed) else f"{path}: {where}"


def resolve_path(name: str) -> Path | None:
    """The local path that a recipe means, or None where the name can only be one of the Hub.

    ``package.module:file`` names a file or folder inside an installed package, so that a recipe works from any
    working directory. Other names are paths from the working directory. A name that does not exist but is written as
    a path (absolute, starting with a dot, with a file's suffix, or with more than the one slash of a Hub id) is
    returned all the same, so that the caller can complain of a missing path rather than ask the Hub.
    """
    package, colon, inside = name.partition(":")
    if colon and re.fullmatch(r"[A-Za-z_][\w.]*", package):
        try:
            return Path(str(files(package).joinpath(inside)))
        except (ModuleNotFoundError, TypeError, ValueError):  # not installed, or a module and no package
            return Path(name)
    path = Path(name).expanduser()
    looks_local = path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1
    return path if path.exists() or looks_local or path.suffix.lower() in _FILES else None


def verifier_fingerprint(section: VerifierSection, version: str) -> str:
    """Names the folder of verdicts: 16 hex digits over kind, options, ``pass_at`` and the verifier's version."""
    kind = verifier_name(section.kind)
    return digest({"kind": kind, "options": section.options, "pass_at": section.pass_at, "version": version})


def verifier_name(kind: str) -> str:
    """A verifier's kind as a protocol names it: a reward function's file without its folder.

    The same file elsewhere is the same verifier; its digest is in the version.
    """
    place, colon, function = kind.rpartition(":")
    return f"{Path(place).name}:{function}" if colon and place.endswith(".py") else kind


def told(recipe: Recipe) -> dict[str, Any]:
    """The resolved recipe as a manifest tells it: JSON, and no folder of this machine in a verifier's kind."""
    return {**recipe.model_dump(mode="json"), "verifier": told_verifier(recipe.verifier)}


def told_verifier(section: VerifierSection) -> dict[str, Any]:
    """The verifier's section as a manifest tells it."""
    absolute = Path(section.kind).expanduser().is_absolute()
    return {**section.model_dump(mode="json"), "kind": verifier_name(section.kind) if absolute else section.kind}


def verifier_protocol(section: VerifierSection, version: str) -> dict[str, Any]:
    """The part of a protocol that its verifier decides."""
    return {
        "verifier.kind": verifier_name(section.kind),
        "verifier.options": section.options,
        "verifier.pass_at": section.pass_at,
        "verifier.version": version,
    }


def protocol(recipe: Recipe, identity: ModelIdentity, verifier_version: str) -> dict[str, Any]:
    """Everything that a pass rate depends on, as a flat mapping of dotted names to JSON values.

    A local model is named by its digest alone, so that the same folder elsewhere is the same protocol.
    """
    local = identity.revision.startswith("sha256:")
    return {
        "model.path": None if local else identity.path,
        "model.revision": identity.revision,
        "model.chat_template": identity.chat_template if recipe.prompt.chat else None,
        "prompt.system": recipe.prompt.system,
        "prompt.template": recipe.prompt.template,
        "prompt.chat": recipe.prompt.chat,
        "sampling.temperature": recipe.sampling.temperature,
        "sampling.top_p": recipe.sampling.top_p,
        "sampling.top_k": recipe.sampling.top_k,
        "sampling.max_tokens": recipe.sampling.max_tokens,
        "sampling.stop": list(recipe.sampling.stop),
        **verifier_protocol(recipe.verifier, verifier_version),
    }


def digest(value: object) -> str:
    """16 hex digits of SHA-256 over the canonical JSON of a value."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]

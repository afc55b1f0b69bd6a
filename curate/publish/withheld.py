"""What is not told: keys, and where a machine keeps its files.

Owns what is taken out of settings before they are published, and out of texts before they are shown. Must not know
what a setting does. A recipe refuses the keys it knows of; this is the second net, for options that are passed on.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

REMOVED = "[removed]"

_SECRET_NAME = re.compile(
    r"((^|.*[_-])(api|access|auth|secret|private|hf|hub|bearer)[_-]?)?(key|token)"
    r"|.*(secret|password|passwd|authorization|credentials?)",
    re.IGNORECASE,
)
"""``api_key`` and ``hf_token``, and neither ``answer_key`` nor ``eos_token``."""
_KEYS = [
    (re.compile(r"(?<=://)[^/@\s]+@"), ""),  # a user and a password in an address
    (re.compile(r"(?i)\bbearer\s+[^\s'\",]+"), f"Bearer {REMOVED}"),
    (re.compile(r"\b(hf_|sk-|gh[opsu]_|github_pat_|xox[a-z]-)[A-Za-z0-9_-]{16,}"), REMOVED),
]
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")
"""A query may be a signature."""
_ABSOLUTE = re.compile(r"(~|/|[A-Za-z]:[\\/])[^\s{}]*[\\/][^\s{}]*")
_PATHS = {"path", "source", "kind"}


def without_secrets(text: str, *secrets: str | None) -> str:
    """The text without keys, signed queries, and the given secrets wherever they stand in it."""
    for secret in secrets:
        text = text.replace(secret, REMOVED) if secret else text
    return _without_keys(_QUERY.sub(r"\1", text))


def _without_keys(text: str) -> str:
    for pattern, instead in _KEYS:
        text = pattern.sub(instead, text)
    return text


def publishable(settings: Any) -> Any:
    """Settings as anybody may read them.

    Values whose name says that they are secret are removed, and keys inside texts. An absolute path, where a setting
    names a file or folder, is told by its last part: the rest says where somebody's home is.

    Args:
        settings: JSON: a recipe, a protocol, a model; nested as it likes.

    Returns:
        The same shape; the same values where nothing is to be withheld.
    """
    return _publishable(settings, "", False)


def _publishable(value: Any, name: str, inside_options: bool) -> Any:
    if isinstance(value, dict):
        inside = inside_options or name.rpartition(".")[2] == "options"
        return {key: _publishable(item, str(key), inside) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_publishable(item, name, inside_options) for item in value]
    if _SECRET_NAME.fullmatch(name) and value is not None and not isinstance(value, bool):
        return REMOVED
    if not isinstance(value, str):
        return value
    if (inside_options or name.rpartition(".")[2] in _PATHS) and _ABSOLUTE.fullmatch(value):
        value = PurePath(value.replace("\\", "/")).name
    # A query in a prompt belongs to the protocol; in an option it may be a signature.
    return without_secrets(value) if inside_options else _without_keys(value)

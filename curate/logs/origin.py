"""Origin: what a log says of where its rollouts came from, and what a reader of logs is asked.

Owns these carriers. What a log does not say stays None here and becomes ``unknown`` in the manifest: a pass rate is
worth as much as what is known of its protocol, so nothing is filled in by custom or guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"
"""What a manifest says in place of what the log does not."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a log says of its protocol; None: it does not."""

    model: str | None = None
    revision: str | None = None
    chat_template: str | None = None
    system: str | None = None
    template: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    tool: str | None = None
    tool_version: str | None = None

    def protocol(self) -> dict[str, Any]:
        """The entries of a protocol, as a recipe's has them; ``unknown`` where the log does not say."""
        names = {
            "model.path": self.model,
            "model.revision": self.revision,
            "model.chat_template": self.chat_template,
            "prompt.system": self.system,
            "prompt.template": self.template,
            "prompt.chat": None,
            "sampling.temperature": self.temperature,
            "sampling.top_p": self.top_p,
            "sampling.top_k": self.top_k,
            "sampling.max_tokens": self.max_tokens,
            "sampling.stop": None,
        }
        return {name: UNKNOWN if value is None else value for name, value in names.items()}

    def differs(self, other: Origin) -> str | None:
        """The first field that two logs give differently; None where they agree or one of them is silent."""
        for one in fields(self):
            values = getattr(self, one.name), getattr(other, one.name)
            if one.name not in ("tool", "tool_version") and None not in values and values[0] != values[1]:
                return one.name
        return None

    def with_more(self, other: Origin) -> Origin:
        """This, completed by another where it is silent."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        return Origin(**{name: getattr(other, name) if value is None else value for name, value in known.items()})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader of one format is asked."""

    format: str
    reward: str | None = None
    """Which of several rewards, metrics or scorers is the log's verdict; ``none``: none of them."""
    columns: Mapping[str, str | None] = field(default_factory=dict)
    """Our name to the log's, as the user gave them."""
    files: tuple[Path, ...] = ()
    """All files of the log: what several rewards are is judged by all of it."""


def sampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling parameters among a tool's generation settings, for an ``Origin``: those that are plain numbers."""
    names = {
        "temperature": ("temperature",),
        "top_p": ("top_p",),
        "top_k": ("top_k",),
        "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "max_gen_toks"),
    }
    found: dict[str, Any] = {}
    for name, theirs in names.items():
        values = [settings.get(key) for key in theirs]
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if numbers:
            found[name] = numbers[0]
    return found

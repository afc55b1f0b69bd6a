"""The checkpoint on this machine or on the Hub: which weights exactly, its tokenizer, and its chat template.

Owns what the engines that load weights themselves share: naming a checkpoint immutably, and turning a prompt into
the token ids that the model sees. Must not import torch or load weights: a dry run comes through here.

How a local folder is named: SHA-256 over the sorted names and SHA-256 digests of the files at its top that a loader
reads (weights, configuration, tokenizer, templates, code). Hidden files, subfolders, READMEs, licences and what a
trainer leaves beside the weights (optimizer, scheduler and random states) do not count, so that editing a model card
does not make another model. The files are streamed and hashed in parallel, at about the speed of the disk or
1 to 2 GB/s for each core, whichever is less.
"""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from curate.errors import EngineError, RequestError
from curate.recipe import ModelSection, SamplingSection, resolve_path
from curate.records import ModelIdentity, Prompt

LOADED = (
    *("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf"),
    *("*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt", "*.py"),
)
"""Patterns of the files that make a checkpoint what it is."""
BESIDE = (
    *("optimizer*", "scheduler*", "scaler.pt", "rng_state*", "trainer_state.json", "training_args.bin"),
    *("README*", "LICENSE*", "NOTICE*", "USE_POLICY*"),
)
"""Patterns of the files that lie beside a checkpoint and change nothing that it draws."""
_FOLDERS = (
    "name a folder that holds config.json, from the working directory or absolute; a model of the Hub is owner/name, "
    "such as Qwen/Qwen3-4B"
)


@dataclass(frozen=True)
class Checkpoint:
    """One immutable checkpoint, found but not loaded."""

    named: str
    """As the recipe names it."""
    source: str
    """What a loader takes: a local folder or a Hub id."""
    commit: str | None
    """The Hub commit to load; None for a local folder."""
    revision: str
    """The commit, or ``sha256:`` and the digest of the local folder."""
    trust_remote_code: bool

    @cached_property
    def tokenizer(self) -> Any:
        """The checkpoint's own tokenizer, loaded at first use.

        Raises:
            EngineError: there is none, or it cannot be read.
        """
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(
                self.source, revision=self.commit, trust_remote_code=self.trust_remote_code
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise EngineError(
                f"the tokenizer of {self.named} cannot be loaded: {_first_line(error)}", where="model.path"
            ) from error

    @cached_property
    def config(self) -> Any:
        """The model's configuration, without weights.

        Raises:
            EngineError: it cannot be read.
        """
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(
                self.source, revision=self.commit, trust_remote_code=self.trust_remote_code
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise EngineError(
                f"the configuration of {self.named} cannot be loaded: {_first_line(error)}", where="model.path"
            ) from error

    @property
    def template(self) -> str | None:
        """The chat template's text, None where the tokenizer has none."""
        found = self.tokenizer.chat_template
        if isinstance(found, dict):
            found = found.get("default")
        return found if isinstance(found, str) else None

    def identity(self) -> ModelIdentity:
        """Which weights and which chat template."""
        template = self.template
        digest = "none" if template is None else f"sha256:{hashlib.sha256(template.encode()).hexdigest()}"
        return ModelIdentity(path=self.named, revision=self.revision, chat_template=digest)

    def render(self, prompt: Prompt) -> str:
        """The text the model sees: the chat template applied to messages, plain text as it is, then the prefill.

        Raises:
            EngineError: there is no chat template, or it refuses the messages.
        """
        if not prompt.messages:
            return prompt.text + prompt.prefill
        from jinja2 import TemplateError

        if self.template is None:
            raise EngineError(
                f"the tokenizer of {self.named} has no chat template",
                where="prompt.chat",
                hint="a base model takes plain text: set prompt.chat: false",
            )
        messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
        try:
            text: str = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        except TemplateError as error:
            raise EngineError(
                f"the chat template of {self.named} refuses these messages: {error}",
                where="prompt",
                hint="some templates take no system turn: set prompt.system: null" if _has_system(prompt) else None,
            ) from error
        return text + prompt.prefill

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of the rendered prompt.

        A chat template writes its own special tokens, so none are added to what it rendered: a doubled
        beginning-of-sequence token shifts a model's pass rates. Plain text gets those that the tokenizer adds.
        """
        rendered = self.render(prompt)
        ids: list[int] = self.tokenizer.encode(rendered, add_special_tokens=not prompt.messages)
        if not ids:
            raise RequestError(f"the prompt {rendered[:40]!r} has no tokens", where="prompt.template")
        return ids


def resolve(model: ModelSection) -> Checkpoint:
    """Find a checkpoint and name it immutably, without loading it.

    Args:
        model: A local folder (or ``package:folder``), named by its digest; or a Hub id, whose branch, tag or
            commit is resolved to a commit, from the local cache where the Hub cannot be reached.

    Raises:
        EngineError: the folder does not exist or holds no model; the Hub has no such model or revision.
    """
    folder = resolve_path(model.path)
    if folder is None:
        commit = _commit(model.path, model.revision)
        return Checkpoint(model.path, model.path, commit, commit, model.trust_remote_code)
    if not folder.is_dir():
        raise EngineError(
            f"there is no folder {model.path!r}" if not folder.exists() else f"{str(folder)!r} is no folder",
            where="model.path",
            hint=_FOLDERS,
        )
    if not (folder / "config.json").is_file():
        raise EngineError(
            f"{str(folder)!r} holds no config.json", where="model.path", hint="name the checkpoint's own folder"
        )
    return Checkpoint(model.path, str(folder), None, folder_digest(folder), model.trust_remote_code)


def folder_digest(folder: Path) -> str:
    """``sha256:`` and 64 hex digits over the files at the top of a folder that a loader reads (see the module)."""
    files = sorted(
        (path for path in folder.iterdir() if _counts(path.name) and path.is_file()), key=lambda path: path.name
    )
    with ThreadPoolExecutor(max_workers=4) as pool:
        digests = list(pool.map(_file_digest, files))
    whole = hashlib.sha256()
    for path, digest in zip(files, digests, strict=True):
        whole.update(f"{path.name}\n{digest}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def context_length(config: Any) -> int | None:
    """The longest sequence a model takes, prompt and completion together; None where it has no limit."""
    text = config.get_text_config()
    length = getattr(text, "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def check_room(sampling: SamplingSection, context: int | None) -> None:
    """Complain before anything is loaded where ``max_tokens`` alone fills the context.

    Raises:
        EngineError: names a value that leaves a quarter of the context to the prompt.
    """
    if context is not None and sampling.max_tokens >= context:
        raise EngineError(
            f"max_tokens {sampling.max_tokens} leaves no room for a prompt in the context of {context} tokens",
            where="sampling.max_tokens",
            hint=f"sampling.max_tokens: {max(1, context * 3 // 4)}",
        )


def check_fits(prompt_tokens: int, sampling: SamplingSection, context: int | None) -> None:
    """Complain of a prompt that would be cut short of ``max_tokens``: its truncations would not be the model's.

    Raises:
        RequestError: names the three lengths.
    """
    if context is not None and prompt_tokens + sampling.max_tokens > context:
        raise RequestError(
            f"a prompt of {prompt_tokens} tokens and max_tokens {sampling.max_tokens} exceed the context "
            f"of {context} tokens",
            where="sampling.max_tokens",
            hint="lower sampling.max_tokens, or leave such problems out",
        )


def _counts(name: str) -> bool:
    return (
        not name.startswith(".")
        and any(fnmatch(name, pattern) for pattern in LOADED)
        and not any(fnmatch(name, pattern) for pattern in BESIDE)
    )


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _commit(repo: str, revision: str | None) -> str:
    """The commit that a revision of a Hub model stands for now."""
    if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        sha: str | None = HfApi().model_info(repo, revision=revision).sha
    except HFValidationError as error:
        raise _not_found(repo, "is neither an existing folder nor a name the Hub could have") from error
    except GatedRepoError as error:
        raise EngineError(
            f"access to the model {repo!r} must be asked for on its Hub page",
            where="model.path",
            hint="ask there, then log in with: hf auth login",
        ) from error
    except RepositoryNotFoundError as error:
        raise _not_found(repo, "is neither an existing folder nor a model of the Hub that you can see") from error
    except RevisionNotFoundError as error:
        raise EngineError(f"the model {repo!r} has no revision {revision!r}", where="model.revision") from error
    except (HTTPError, OSError) as error:  # no network, a proxy, HF_HUB_OFFLINE: the cache may know
        sha = _cached_commit(repo, revision)
        if sha is None and _in_a_folder_here(repo):
            raise _not_found(repo, "is not cached, and the Hub cannot be reached") from error
        if sha is None:
            raise EngineError(
                f"the model {repo!r} is not cached and the Hub cannot be reached: {_first_line(error)}",
                where="model.path",
                hint="download it first with: hf download " + repo,
            ) from error
    if sha is None:
        raise EngineError(f"the Hub names no commit for the model {repo!r}", where="model.path")
    return sha


def _cached_commit(repo: str, revision: str | None) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, "config.json", revision=revision)
    return Path(found).parent.name if isinstance(found, str) else None


def _not_found(repo: str, why: str) -> EngineError:
    if _in_a_folder_here(repo):
        return EngineError(
            f"there is no folder {repo!r}; as a model of the Hub it {why}", where="model.path", hint=_FOLDERS
        )
    return EngineError(
        f"model path {repo!r} does not exist: it {why}",
        where="model.path",
        hint="check the spelling; for a private model log in with: hf auth login",
    )


def _in_a_folder_here(name: str) -> bool:
    """Whether a name that the Hub could have begins with a folder that is here, and so is likely a path misspelt."""
    first, slash, _ = name.partition("/")
    return bool(slash) and Path(first).is_dir()


def _has_system(prompt: Prompt) -> bool:
    return any(message.role == "system" for message in prompt.messages)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

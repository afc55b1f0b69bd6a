"""The trainers' formats: what a row must look like for each, and what each cannot take.

Owns the columns, and where they come from: the module that reads them is named with its version above each trainer.
Must not read a release or write a file. A trainer is two functions of one problem and the options that they look at;
a plain dict names them all.

Two rules hold for all of them. The name of the data (``data_source``, ``env_class``, ``dataset``) is one that no reward
of the trainer's own goes by, so that nothing is scored silently by another verifier than the one that measured. And
where a row has room beside the reference, the reference is the first accepted one, with all of them in ``answers``;
where it has none, several are packed into one JSON list, or ``label=problem_id`` puts the problem's id there, by which
a reward function finds the problem and everything that is known of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from curate.records import Prompt

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """What a trainer can be told of one problem."""

    index: int
    """Its place in the file, from 0."""
    problem_id: str
    prompt: Prompt
    question: str
    answers: tuple[str, ...]
    """Accepted references, at least one."""
    pass_rate: float | None
    metadata: str
    """The source's other columns, as JSON."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """How one trainer is written for."""

    reads: str
    """The module that reads the file, and the version that was looked at."""
    formats: tuple[str, ...]
    """Endings of the files that it reads, the better one first."""
    columns: Callable[[bool], dict[str, Any]]
    """From whether prompts are chats to every column's type: ``string``, ``int64``, a list of one type, a mapping."""
    row: Callable[[Example, Options], dict[str, Any]]
    options: Options
    """Every option with its default; ``{name}`` is the release's name, ``{ability}`` what its verifier judges."""
    complaint: Callable[[Prompt, Options], str | None] = lambda _prompt, _options: None
    """Why a prompt cannot be given to it, or None."""
    prompted: bool = True
    """Whether its rows hold prompts."""


TURNS = [{"role": "string", "content": "string"}]
RAW = "raw"
"""The option of trainers that always apply a chat template: the text of a prompt that is none, as one user turn."""
LABEL = "label"
"""The option of trainers whose rows have room for the reference alone: ``reference``, or ``problem_id``."""

_TRACE = {"problem_id": "string", "pass_rate": "float64"}
_EXTRA = {
    **{"split": "string", "index": "int64", **_TRACE},
    **{"question": "string", "answers": ["string"], "metadata": "string"},
}


def packed(answers: tuple[str, ...]) -> str:
    """One reference as it is, several as a JSON list of texts. ``unpacked`` gives exactly these back."""
    alone = len(answers) == 1 and unpacked(answers[0]) == answers
    return answers[0] if alone else json.dumps(list(answers), ensure_ascii=False)


def unpacked(label: str) -> tuple[str, ...]:
    """The references that ``packed`` wrote."""
    if label.startswith("["):
        try:
            found = json.loads(label)
        except ValueError:
            found = None
        if isinstance(found, list) and found and all(isinstance(one, str) for one in found):
            return tuple(found)
    return (label,)


def _label(example: Example, options: Options) -> str:
    return example.problem_id if options[LABEL] == "problem_id" else packed(example.answers)


def _turns(prompt: Prompt) -> list[dict[str, str]]:
    if not prompt.messages:
        return [{"role": "user", "content": prompt.text}]
    return [{"role": turn.role, "content": turn.content} for turn in prompt.messages]


def _either(prompt: Prompt) -> Any:
    return _turns(prompt) if prompt.messages else prompt.text


def _chats_only(prompt: Prompt, options: Options) -> str | None:
    if prompt.messages or options[RAW]:
        return None
    return "always applies a chat template, and the prompts of this release are plain text (prompt.chat: false)"


def _extra(example: Example, options: Options) -> dict[str, Any]:
    return {
        "split": options["split"],
        "index": example.index,
        "problem_id": example.problem_id,
        "pass_rate": example.pass_rate,
        "question": example.question,
        "answers": list(example.answers),
        "metadata": example.metadata,
    }


def _trace(example: Example) -> dict[str, Any]:
    return {"problem_id": example.problem_id, "pass_rate": example.pass_rate}


# -- TRL: every column but ``prompt`` reaches the reward functions; its own ``accuracy_reward`` asks for ``solution``.


def _trl_columns(chat: bool) -> dict[str, Any]:
    prompt = TURNS if chat else "string"
    kept = {"question": "string", "metadata": "string", **_TRACE}
    return {"prompt": prompt, "solution": "string", "answers": ["string"], **kept}


def _trl(example: Example, _options: Options) -> dict[str, Any]:
    return {
        "prompt": _either(example.prompt),
        "solution": example.answers[0],
        "answers": list(example.answers),
        "question": example.question,
        "metadata": example.metadata,
        **_trace(example),
    }


# -- verl: ``reward_model.ground_truth``, ``data_source`` and ``extra_info`` reach ``compute_score``.


def _verl_columns(_chat: bool) -> dict[str, Any]:
    reward = {"style": "string", "ground_truth": "string"}
    return {
        **{"data_source": "string", "prompt": TURNS, "ability": "string"},
        **{"reward_model": reward, "extra_info": _EXTRA},
    }


def _verl(example: Example, options: Options) -> dict[str, Any]:
    return {
        "data_source": options["data_source"],
        "prompt": _turns(example.prompt),
        "ability": options["ability"],
        "reward_model": {"style": options["style"], "ground_truth": example.answers[0]},
        "extra_info": _extra(example, options),
    }


# -- OpenRLHF: only prompt and label reach ``reward_func(queries, prompts, labels)``.


def _openrlhf_columns(chat: bool) -> dict[str, Any]:
    return {"input": TURNS if chat else "string", "label": "string", "datasource": "string", **_TRACE}


def _openrlhf(example: Example, options: Options) -> dict[str, Any]:
    return {
        "input": _either(example.prompt),
        "label": _label(example, options),
        "datasource": options["datasource"],
        **_trace(example),
    }


# -- open-instruct: ``dataset`` names the verifier that is given ``ground_truth``. A list of them would be several
# verifiers whose scores are added, and not references of which any one is right: so both are one text.


def _open_instruct_columns(_chat: bool) -> dict[str, Any]:
    return {"messages": TURNS, "ground_truth": "string", "dataset": "string", **_TRACE}


def _open_instruct(example: Example, options: Options) -> dict[str, Any]:
    return {
        "messages": _turns(example.prompt),
        "ground_truth": _label(example, options),
        "dataset": options["dataset"],
        **_trace(example),
    }


def _open_instruct_complaint(prompt: Prompt, options: Options) -> str | None:
    if len(prompt.messages) > 1 and prompt.messages[-1].role == "assistant":
        return "drops an assistant's turn at the end of a prompt"
    return _chats_only(prompt, options)


# -- SkyRL: every column but ``prompt`` and ``env_class`` reaches the environment as its ``extras``.


def _skyrl_columns(_chat: bool) -> dict[str, Any]:
    reward = {"method": "string", "ground_truth": "string"}
    return {
        **{"data_source": "string", "prompt": TURNS, "env_class": "string"},
        **{"reward_spec": reward, "extra_info": _EXTRA},
    }


def _skyrl(example: Example, options: Options) -> dict[str, Any]:
    return {
        "data_source": options["data_source"],
        "prompt": _turns(example.prompt),
        "env_class": options["env_class"],
        "reward_spec": {"method": options["method"], "ground_truth": example.answers[0]},
        "extra_info": _extra(example, options),
    }


# -- NeMo-RL: ``input`` becomes the one user turn, ``output`` the ground truth; all other columns are removed. The
# system message is the config's, read from a file.

SYSTEM_FILE = "system_prompt_file"


def _nemo_rl_columns(_chat: bool) -> dict[str, Any]:
    return {"input": "string", "output": "string", **_TRACE}


def _nemo_rl(example: Example, options: Options) -> dict[str, Any]:
    prompt = _turns(example.prompt)[-1]["content"]
    return {"input": prompt, "output": _label(example, options), **_trace(example)}


def _nemo_rl_complaint(prompt: Prompt, options: Options) -> str | None:
    roles = tuple(turn.role for turn in prompt.messages)
    if roles not in ((), ("user",), ("system", "user")):
        return f"takes one user turn after a system message, and a prompt of this release has {', '.join(roles)}"
    if "system" in roles and not options[SYSTEM_FILE]:
        return "reads the system message from a file that its config names"
    return _chats_only(prompt, options)


# -- prime-rl: the rows are its environment's own; a run is told which of them to use.

TABLE = "table"


def _prime_rl(example: Example, _options: Options) -> dict[str, Any]:
    return {"id": example.problem_id}


_BOTH = (".parquet", ".jsonl")

TRAINERS: dict[str, Trainer] = {
    "trl": Trainer("trl.trainer.grpo_trainer, TRL 1.16.0", _BOTH, _trl_columns, _trl, {}),
    "verl": Trainer(
        "verl.utils.dataset.rl_dataset, verl 0.9.1",
        _BOTH,
        _verl_columns,
        _verl,
        {"data_source": "curate/{name}", "ability": "{ability}", "style": "rule", "split": "train", RAW: False},
        _chats_only,
    ),
    "openrlhf": Trainer(
        "openrlhf.datasets.prompts_dataset, OpenRLHF 0.11.0",
        _BOTH,
        _openrlhf_columns,
        _openrlhf,
        {"datasource": "curate/{name}", LABEL: "reference"},
    ),
    "open-instruct": Trainer(
        "open_instruct.dataset_transformation (rlvr_tokenize_v3), open-instruct main",
        (".jsonl", ".parquet"),
        _open_instruct_columns,
        _open_instruct,
        {"dataset": "curate", LABEL: "reference", RAW: False},
        _open_instruct_complaint,
    ),
    "skyrl": Trainer(
        "skyrl.train.dataset.dataset, SkyRL 0.3.0",
        _BOTH,
        _skyrl_columns,
        _skyrl,
        {"data_source": "curate/{name}", "env_class": "curate", "method": "rule", "split": "train", RAW: False},
        _chats_only,
    ),
    "nemo-rl": Trainer(
        "nemo_rl.data.datasets.response_datasets.response_dataset, NeMo-RL main",
        (".jsonl", ".parquet"),
        _nemo_rl_columns,
        _nemo_rl,
        {SYSTEM_FILE: "", LABEL: "reference", RAW: False},
        _nemo_rl_complaint,
    ),
    "prime-rl": Trainer(
        "verifiers.v1.configs.select, verifiers 0.4.0",
        (".toml",),
        lambda _chat: {"id": "string"},
        _prime_rl,
        {TABLE: "orchestrator.train.select.include"},
        prompted=False,
    ),
}
"""Trainer -> how it is written for."""

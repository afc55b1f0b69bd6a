"""The scripted engine: draws what a file tells it to. For tests of the whole program, and for rehearsals without a GPU.

Owns the script's format. Must not import torch or any other engine's library. What a rollout says depends on its seed
alone, never on when it arrives, so that a run that was broken off can be compared with one that was not.

The script is a YAML or JSON file, named by ``engine.options.script``::

    capacity: 256              # rollouts in flight
    default:                   # what every problem does
      pass_rate: 0.5           # chance that a rollout passes
      right: '\\boxed{4}'       # the text of one that passes
      wrong: '\\boxed{0}'       # the text of one that fails
      answer: null             # what stands for {answer} in both texts, as in '\\boxed{{answer}}'
      answer_pattern: null     # or a regular expression: the first group of its last match in the prompt
      truncated: 0.0           # chance that a rollout is cut at the length limit
      tokens: 20               # mean completion tokens, exponential, at least 1
      seconds: 0.0             # mean latency, exponential; a request takes as long as its slowest rollout
      pass_seconds: null       # the same for a rollout that passes; null: as the others
    problems:                  # by problem_id: what differs from the default
      p1: {pass_rate: 0.9, right: '\\boxed{7}'}
    prompts:                   # for the other problems, by a regular expression found in the prompt: the first counts
      'digits of': {pass_rate: 0.2}
    faults:                    # what goes wrong with a request; the first that applies, does
      - {kind: error, share: 0.3}            # this share of requests, on their first attempt
      - {kind: hang, share: 0.1, times: 2}   # on their first two attempts
      - {kind: dead, at: 100}                # the 101st request of a run, and all after it

Kinds of faults: ``error`` (the request fails), ``hang`` (it never ends), ``short`` (only half of the completions come
back), ``dead`` (the engine is gone), and three that touch the first completion: ``empty`` (no text), ``huge`` (10 MB
of it) and ``surrogates`` (text that no file can hold).

The model's revision is a digest of what decides the rollouts: another latency, capacity or fault is no other model, so
that a run which a fault ended can be continued with a script without it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from curate.engines.options import Settings, read
from curate.errors import EngineError, RecipeError, RequestError
from curate.recipe import EngineSection, ModelSection, SamplingSection, resolve_path
from curate.records import Completion, ModelIdentity, Prompt, Request

_FOUR = struct.Struct(">4Q")
HUGE = 10_000_000
"""Characters of a completion that the fault ``huge`` touches."""


class Options(Settings):
    """What ``engine.options`` may say."""

    script: str
    """The script file, or ``package:file`` for one inside a package."""


class Behaviour(Settings):
    """What the rollouts of one problem do; the module's docstring has the meaning of each."""

    pass_rate: float = Field(default=0.5, ge=0.0, le=1.0)
    right: str = r"\boxed{4}"
    wrong: str = r"\boxed{0}"
    answer: str | None = None
    answer_pattern: str | None = None
    truncated: float = Field(default=0.0, ge=0.0, le=1.0)
    tokens: float = Field(default=20.0, ge=1.0)
    seconds: float = Field(default=0.0, ge=0.0)
    pass_seconds: float | None = Field(default=None, ge=0.0)

    @field_validator("answer", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int | float) else value

    @field_validator("answer_pattern")
    @classmethod
    def _has_a_group(cls, value: str | None) -> str | None:
        if value is not None and _compiled(value).groups < 1:
            raise ValueError("has no group around the answer")
        return value


class Fault(Settings):
    """What goes wrong with some requests."""

    kind: Literal["error", "hang", "short", "dead", "empty", "huge", "surrogates"]
    share: float | None = Field(default=None, ge=0.0, le=1.0)
    at: int | None = Field(default=None, ge=0)
    times: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_way(self) -> Fault:
        if (self.share is None) == (self.at is None):
            raise ValueError("a fault has either a share or an at")
        return self


class Script(Settings):
    """The whole file."""

    capacity: int = Field(default=256, ge=1)
    default: Behaviour = Behaviour()
    problems: dict[str, dict[str, Any]] = Field(default_factory=dict)
    prompts: dict[str, dict[str, Any]] = Field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    @field_validator("prompts")
    @classmethod
    def _compile(cls, value: dict[str, Any]) -> dict[str, Any]:
        for pattern in value:
            _compiled(pattern)
        return value


def connect(model: ModelSection, engine: EngineSection, sampling: SamplingSection) -> ScriptedEngine:
    """Read the script.

    Raises:
        RecipeError: the options name no script, it cannot be read, or it says what no script can say.
    """
    name = read(Options, engine.options, where="engine.options").script
    path = resolve_path(name) or Path(name)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise RecipeError(f"cannot read the script: {error.strerror}", where=name) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"the script is not YAML: {error}", where=name) from error
    script = read(Script, {} if raw is None else raw, where=f"{name}:")
    default = script.default.model_dump()
    by_problem = {
        problem: read(Behaviour, default | changes, where=f"{name}: problems.{problem}")
        for problem, changes in script.problems.items()
    }
    by_prompt = {
        pattern: read(Behaviour, default | changes, where=f"{name}: prompts.{pattern}")
        for pattern, changes in script.prompts.items()
    }
    return ScriptedEngine(model.path, script, by_problem, by_prompt, sampling.max_tokens)


class ScriptedEngine:
    """Draws what the script says; see the module."""

    def __init__(
        self,
        path: str,
        script: Script,
        by_problem: dict[str, Behaviour],
        by_prompt: dict[str, Behaviour],
        max_tokens: int,
    ) -> None:
        self.name = "scripted 1"
        self.capacity = script.capacity
        self._identity = ModelIdentity(path, _revision(script, by_problem, by_prompt), "none")
        self._default = script.default
        self._behaviours = dict(by_problem)
        self._by_prompt = [(re.compile(pattern), behaviour) for pattern, behaviour in by_prompt.items()]
        self._settled: set[str] = set()
        """Problems whose behaviour is worked out: prompt looked at, answers filled in."""
        self._faults = script.faults
        self._max_tokens = max_tokens
        self._requests = 0
        self._tries: Counter[int] = Counter()

    def identity(self) -> ModelIdentity:
        """The model's name as the recipe has it, and the digest of what decides its rollouts."""
        return self._identity

    def render(self, prompt: Prompt) -> str:
        """The text, or the turns one below the other, and the prefill."""
        return (prompt.text or "\n".join(f"{turn.role}: {turn.content}" for turn in prompt.messages)) + prompt.prefill

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to free."""

    async def generate(self, request: Request) -> list[Completion]:
        """Draw as the script says."""
        fault = self._fault(request.seed) if self._faults else None
        if fault == "dead":
            raise EngineError("the scripted engine is dead", where="faults")
        if fault == "error":
            raise RequestError("the script wants this request to fail")
        if fault == "hang":
            await asyncio.Event().wait()
        behaviour = self._behaviour(request)
        drawn = [self._draw(behaviour, request.seed + offset) for offset in range(request.n)]
        latency = max((seconds for _, seconds in drawn), default=0.0)
        await asyncio.sleep(latency)  # 0 lets the others run, as any engine does
        completions = [completion for completion, _ in drawn]
        if fault == "short":
            return completions[: request.n // 2]
        if fault is not None and completions:
            completions[0] = _touched(completions[0], fault)
        return completions

    def _behaviour(self, request: Request) -> Behaviour:
        name = request.problem_id
        if name not in self._settled:
            prompt = self.render(request.prompt)
            found = self._behaviours.get(name)
            if found is None:
                found = next((one for pattern, one in self._by_prompt if pattern.search(prompt)), self._default)
            self._behaviours[name] = _filled(found, prompt, name)
            self._settled.add(name)
        return self._behaviours[name]

    def _draw(self, behaviour: Behaviour, seed: int) -> tuple[Completion, float]:
        chance, length, wait, cut = _uniforms(seed)
        passes = chance < behaviour.pass_rate
        truncated = cut < behaviour.truncated
        tokens = self._max_tokens if truncated else max(1, round(-math.log(length) * behaviour.tokens))
        seconds = behaviour.seconds
        if passes and behaviour.pass_seconds is not None:
            seconds = behaviour.pass_seconds
        completion = Completion(
            text=behaviour.right if passes else behaviour.wrong,
            finish_reason="length" if truncated else "stop",
            prompt_tokens=10,
            completion_tokens=tokens,
        )
        return completion, -math.log(wait) * seconds

    def _fault(self, seed: int) -> str | None:
        position = self._requests
        self._requests += 1
        attempt = self._tries[seed]
        self._tries[seed] += 1
        for number, fault in enumerate(self._faults):
            if fault.at is not None:
                # What is dead stays dead; any other fault strikes once.
                struck = position >= fault.at if fault.kind == "dead" else position == fault.at
            else:
                struck = attempt < fault.times and _uniforms(seed, number + 1)[0] < (fault.share or 0.0)
            if struck:
                return fault.kind
        return None


def _filled(behaviour: Behaviour, prompt: str, problem_id: str) -> Behaviour:
    if "{answer}" not in behaviour.right + behaviour.wrong:
        return behaviour
    answer = behaviour.answer
    if answer is None and behaviour.answer_pattern is not None:
        matches = [match.group(1) for match in re.finditer(behaviour.answer_pattern, prompt)]
        answer = matches[-1] if matches else None
    if answer is None:
        raise EngineError(
            f"the script has no answer for the problem {problem_id!r}",
            where="engine.options.script",
            hint="give it an answer or an answer_pattern, or texts without {answer}",
        )
    texts = {"right": behaviour.right.replace("{answer}", answer), "wrong": behaviour.wrong.replace("{answer}", answer)}
    return behaviour.model_copy(update=texts)


def _revision(script: Script, by_problem: dict[str, Behaviour], by_prompt: dict[str, Behaviour]) -> str:
    latency = {"seconds", "pass_seconds"}
    deciding = {
        "default": script.default.model_dump(exclude=latency),
        "problems": {name: behaviour.model_dump(exclude=latency) for name, behaviour in sorted(by_problem.items())},
        "prompts": [[pattern, behaviour.model_dump(exclude=latency)] for pattern, behaviour in by_prompt.items()],
    }
    return f"sha256:{hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()}"


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error


def _touched(completion: Completion, fault: str) -> Completion:
    texts = {"empty": "", "huge": "x" * HUGE + completion.text, "surrogates": "\ud800\udfff\ud800" + completion.text}
    return Completion(texts[fault], completion.finish_reason, completion.prompt_tokens, completion.completion_tokens)


def _uniforms(seed: int, stream: int = 0) -> tuple[float, float, float, float]:
    """Four numbers in (0, 1) that depend on the seed and the stream alone."""
    raw = hashlib.blake2b(seed.to_bytes(8, "big") + stream.to_bytes(2, "big"), digest_size=32).digest()
    first, second, third, fourth = _FOUR.unpack(raw)
    scale = 2.0**-64
    return (first + 0.5) * scale, (second + 0.5) * scale, (third + 0.5) * scale, (fourth + 0.5) * scale

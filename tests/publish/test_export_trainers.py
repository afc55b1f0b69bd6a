"""The trainers' own loaders read what was exported, and one of them trains on it.

What is not on the package index (open-instruct, NeMo-RL, prime-rl) is held to its documented columns in
``test_export_formats``. A trainer's package often wants Ray or CUDA when it is imported; then only the package around
its loader is left out, and the loader itself is the real one.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import polars as pl
import pytest
from builders import problem
from datasets import load_dataset
from released import DEMO, demo_release, release_of

import curate
from curate.recipe import VerifierSection
from curate.records import Case, Message, VerdictKind
from curate.verifiers import judge_all

MODEL = Path(curate.__file__).parent / "demo" / "model"
WITHOUT = "install tests/requirements-trainers.txt"


@pytest.fixture(autouse=True)
def _no_workers_left() -> Iterator[None]:
    yield
    curate.close_rewards()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_release(tmp_path_factory.mktemp("demo") / "out")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def bare() -> Iterator[Any]:
    """Puts empty packages in the place of those whose own import wants too much; their modules stay the real ones."""
    roots: set[str] = set()

    def without(root: str, *below: str) -> None:
        found = find_spec(root)
        if found is None or found.submodule_search_locations is None:
            pytest.skip(WITHOUT)
        places = [Path(place) for place in found.submodule_search_locations]
        for name in (root, *below):
            sys.modules[name] = package = ModuleType(name)
            package.__path__ = [str(place.joinpath(*name.split(".")[1:])) for place in places]
        roots.add(root)

    yield without
    for name in [name for name in sys.modules if name.split(".")[0] in roots]:
        del sys.modules[name]


def tokenizer() -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(MODEL)


def seen() -> dict[str, str]:
    """What the model saw of each problem when it was measured, as the profile keeps it."""
    frame = pl.read_parquet(DEMO / "problems.parquet")
    return dict(zip(frame["problem_id"], frame["prompt"], strict=True))


def answers() -> dict[str, str]:
    frame = pl.read_parquet(DEMO / "problems.parquet")
    return dict(zip(frame["problem_id"], frame["answer"], strict=True))


def test_trl_takes_a_training_step_with_the_reward_that_measured(demo: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason=WITHOUT)
    trl = pytest.importorskip("trl", reason=WITHOUT)
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM
    from trl.rewards import accuracy_reward

    file = curate.export(demo, trainer="trl", to=tmp_path / "train.parquet").path
    data = load_dataset("parquet", data_files=str(file), split="train")
    ours = curate.reward(demo, trainer="trl", workers=1)
    given: list[dict[str, Any]] = []
    rewarded: list[float | None] = []

    def curate_reward(**columns: Any) -> list[float | None]:
        given.append(columns)
        rewarded.extend(ours(**columns))
        return rewarded

    # A tiny model gains nothing from a second thread, and on a busy machine two wait for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    before = [weight.clone() for weight in model.parameters()]
    trainer = trl.GRPOTrainer(
        model=model,
        processing_class=tokenizer(),
        reward_funcs=[curate_reward, accuracy_reward],
        train_dataset=data,
        args=trl.GRPOConfig(
            output_dir=str(tmp_path / "run"),
            per_device_train_batch_size=16,
            num_generations=8,
            max_completion_length=160,
            max_steps=1,
            learning_rate=1e-3,
            seed=1,
            logging_steps=1,
            use_cpu=True,
            bf16=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
    )
    try:
        trainer.train()
    finally:
        torch.set_num_threads(threads)

    (columns,) = given
    texts = [completion[0]["content"] for completion in columns["completions"]]
    assert len(texts) == 16
    rendered = [
        trainer.processing_class.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        for prompt in columns["prompts"]
    ]
    assert rendered == [seen()[name] for name in columns["problem_id"]], "the prompts are those that were measured"
    boxed = [re.findall(r"\\boxed\{(\d+)\}", text)[-1:] for text in texts]
    by_hand = [float(found == [answers()[name]]) for found, name in zip(boxed, columns["problem_id"], strict=True)]
    assert rewarded == by_hand
    assert 0 < sum(by_hand) < 16, "a problem in the band passes sometimes, so there is something to learn"
    verdicts = judge_all(
        VerifierSection(workers=1),
        [Case((answers()[name],), text) for name, text in zip(columns["problem_id"], texts, strict=True)],
    )
    assert [one.kind is VerdictKind.PASS for one in verdicts] == [reward == 1.0 for reward in rewarded]
    logged = trainer.state.log_history[0]
    assert logged["rewards/curate_reward/mean"] == pytest.approx(sum(by_hand) / 16)
    assert logged["rewards/accuracy_reward/mean"] == pytest.approx(sum(by_hand) / 16), "solution is read by TRL's own"
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_trl_takes_prompts_that_are_text(tmp_path: Path) -> None:
    trl_data = pytest.importorskip("trl.data_utils", reason=WITHOUT)
    chat = release_of(tmp_path / "chat", [problem("p")])
    text = release_of(tmp_path / "text", [problem("p")], prompt__chat=False)
    told = []
    for release in (chat, text):
        file = curate.export(release, trainer="trl", to=release / "../train.jsonl").path
        told.append(trl_data.is_conversational(load_dataset("json", data_files=str(file), split="train")[0]))
    assert told == [True, False]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_verl_reads_it_and_gives_the_prompts_and_ground_truths(
    demo: Path, tmp_path: Path, bare: Any, ending: str
) -> None:
    pytest.importorskip("omegaconf", reason=WITHOUT)
    pytest.importorskip("PIL", reason=WITHOUT)
    bare("verl")
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

    file = curate.export(demo, trainer="verl", to=tmp_path / f"train.{ending}").path
    words = tokenizer()
    config = OmegaConf.create(
        {"cache_dir": str(tmp_path / "verl"), "max_prompt_length": 64, "filter_overlong_prompts_workers": 1}
    )
    data = RLHFDataset(data_files=str(file), tokenizer=words, config=config)
    assert len(data) == len(load_dataset(str(demo), split="train"))
    batch = collate_fn([data[place] for place in range(len(data))])
    for place in range(len(data)):
        name = batch["extra_info"][place]["problem_id"]
        ids = words.apply_chat_template(batch["raw_prompt"][place], add_generation_prompt=True)["input_ids"]
        assert ids == words.encode(seen()[name], add_special_tokens=False)
        assert batch["reward_model"][place] == {"style": "rule", "ground_truth": answers()[name]}
    assert list(batch["index"]) == list(range(len(data)))
    assert set(batch["data_source"]) == {"curate/demo"}


def test_verl_finds_no_reward_of_its_own_for_the_data(bare: Any) -> None:
    bare("verl")
    from verl.utils.reward_score import default_compute_score

    with pytest.raises(NotImplementedError, match="curate/demo"):
        default_compute_score("curate/demo", "\\boxed{4}", "4")


def test_verl_rewards_as_was_measured(demo: Path, tmp_path: Path, bare: Any) -> None:
    pytest.importorskip("omegaconf", reason=WITHOUT)
    bare("verl", "verl.trainer", "verl.trainer.ppo")
    sys.modules["verl"].DataProto = object
    from omegaconf import OmegaConf
    from verl.trainer.ppo.reward import get_custom_reward_fn

    code = f"import curate\ncompute_score = curate.reward({str(demo)!r}, trainer='verl', workers=1)\n"
    (tmp_path / "reward.py").write_text(code)
    asked = {"custom_reward_function": {"path": str(tmp_path / "reward.py"), "name": "compute_score"}}
    score = get_custom_reward_fn(OmegaConf.create({"reward": asked}))
    extra = {"answers": ["1/2", "0.5"], "question": "a half?", "metadata": "{}", "num_turns": 2}
    call = {"data_source": "curate/demo", "ground_truth": "1/2", "extra_info": extra}
    assert score(solution_str="\\boxed{.5}", **call) == {"score": 1.0, "acc": 1.0, "unscored": 0.0}
    assert score(solution_str="\\boxed{2}", **call) == {"score": 0.0, "acc": 0.0, "unscored": 0.0}


@pytest.mark.parametrize("chat", [True, False])
def test_openrlhf_reads_it(tmp_path: Path, bare: Any, chat: bool) -> None:
    bare("openrlhf", "openrlhf.datasets")
    from openrlhf.datasets.prompts_dataset import PromptDataset
    from openrlhf.datasets.utils import blending_datasets

    problems = [problem("a", answers=("4", "four")), problem("b", answers=("5",))]
    out = release_of(tmp_path, problems, prompt__chat=chat, **({"prompt__system": "S"} if chat else {}))
    file = curate.export(out, trainer="openrlhf", to=tmp_path / "train.jsonl").path
    said = SimpleNamespace(input_key="input", label_key="label", apply_chat_template=chat)
    strategy = SimpleNamespace(
        args=SimpleNamespace(data=said, use_ms=False), print=lambda *_: None, is_rank_0=lambda: True
    )
    read = PromptDataset(blending_datasets(str(file), strategy=strategy), tokenizer(), strategy)
    sources, prompts, labels, _ = read.collate_fn([read[0], read[1]])
    assert sources == ["curate/test"] * 2
    assert labels == ['["4", "four"]', "5"]
    assert prompts[0] == ("<s><system>S<user>question of a<assistant>" if chat else "question of a")


def test_skyrl_reads_it_and_its_environment_rewards_as_was_measured(demo: Path, tmp_path: Path) -> None:
    pytest.importorskip("skyrl.train.dataset", reason=WITHOUT)
    gym = pytest.importorskip("skyrl_gym", reason=WITHOUT)
    from skyrl.train.dataset import PromptDataset
    from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

    file = curate.export(demo, trainer="skyrl", to=tmp_path / "train.parquet").path
    words = tokenizer()
    data = PromptDataset(str(file), words, max_prompt_length=64, num_workers=1)
    (first, *others) = data.collate_fn([data[place] for place in range(len(data))])
    assert 1 + len(others) == len(load_dataset(str(demo), split="train"))
    name = first["env_extras"]["extra_info"]["problem_id"]
    assert words.apply_chat_template(first["prompt"], add_generation_prompt=True, tokenize=False) == seen()[name]

    judge = curate.reward(demo, workers=1)

    class Curate(BaseTextEnv):
        def __init__(self, env_config: Any, extras: dict[str, Any]) -> None:  # noqa: ARG002
            super().__init__()
            self.told = extras

        def step(self, action: str) -> BaseTextEnvStepOutput:
            label = self.told["reward_spec"]["ground_truth"]
            found = judge(action, label, self.told["extra_info"])
            return BaseTextEnvStepOutput(observations=[], reward=found or 0.0, done=True, metadata={})

    gym.register(id=first["env_class"], entry_point=Curate)
    try:
        env = gym.make(first["env_class"], env_config={}, extras=first["env_extras"])
        assert env.init(first["prompt"])[0] == first["prompt"]
        assert env.step(f"so \\boxed{{{answers()[name]}}}")["reward"] == 1.0
        assert env.step("\\boxed{-1}")["reward"] == 0.0
    finally:
        gym.envs.deregister(first["env_class"])


def test_skyrl_own_environment_finds_the_reference(demo: Path, tmp_path: Path) -> None:
    gym = pytest.importorskip("skyrl_gym", reason=WITHOUT)
    file = curate.export(demo, trainer="skyrl", to=tmp_path / "a.parquet", options={"env_class": "gsm8k"}).path
    row = load_dataset("parquet", data_files=str(file), split="train")[0]
    env = gym.make(row["env_class"], env_config={}, extras=row)
    assert env.step(f"#### {row['reward_spec']['ground_truth']}")["reward"] == 1.0


def test_verifiers_selects_the_tasks_for_prime_rl(tmp_path: Path, bare: Any) -> None:
    pytest.importorskip("pydantic_config", reason=WITHOUT)
    bare("verifiers", "verifiers.v1", "verifiers.v1.configs")
    from verifiers.v1.configs.select import SelectConfig

    out = release_of(tmp_path, [problem("x/1"), problem("x/2")])
    file = curate.export(out, trainer="prime-rl", to=tmp_path / "ids.toml").path
    told = tomllib.loads(file.read_text())["orchestrator"]["train"]["select"]
    assert SelectConfig.model_validate(told).include.ids == ["x/1", "x/2"]


def test_a_chat_reaches_verl_turn_by_turn(tmp_path: Path, bare: Any) -> None:
    pytest.importorskip("omegaconf", reason=WITHOUT)
    pytest.importorskip("PIL", reason=WITHOUT)
    bare("verl")
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    turns = (Message("user", "2+2?"), Message("assistant", "4"), Message("user", "+1?"))
    out = release_of(tmp_path, [problem("p", question="+1?", messages=turns)], prompt__system="S")
    file = curate.export(out, trainer="verl", to=tmp_path / "train.parquet").path
    config = OmegaConf.create({"cache_dir": str(tmp_path / "verl"), "filter_overlong_prompts_workers": 1})
    (row,) = RLHFDataset(data_files=str(file), tokenizer=tokenizer(), config=config)
    told = tokenizer().apply_chat_template(row["raw_prompt"], add_generation_prompt=True, tokenize=False)
    assert told == "<s><system>S<user>2+2?<assistant>4</s><user>+1?<assistant>"


def test_a_reward_may_be_asked_for_inside_a_running_loop(demo: Path) -> None:
    judge = curate.reward(demo, workers=1)

    async def asked() -> float | None:
        return judge("\\boxed{4}", "4")

    assert asyncio.run(asked()) == 1.0

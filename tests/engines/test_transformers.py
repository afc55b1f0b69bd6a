"""The transformers engine on a tiny random model: seeds, batches, ends, faults."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("transformers")

import torch
import transformers
from scipy import stats
from tiny_model import CHARACTERS, save_model, save_tokenizer

from curate.engines import Engine, connect
from curate.errors import EngineError, RecipeError, RequestError
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, Message, Prompt, Request

T = TypeVar("T")


def opened(model: Path, options: dict[str, Any] | None = None, **sampling: Any) -> Engine:
    """An engine on the CPU, one thread; 24 tokens unless said otherwise."""
    return connect(
        ModelSection(path=str(model)),
        EngineSection(kind="transformers", options={"device": "cpu", "threads": 1, **(options or {})}),
        SamplingSection(**{"max_tokens": 24, **sampling}),
    )


def during(engine: Engine, work: Callable[[Engine], Awaitable[T]]) -> T:
    """What ``work`` returns between the engine's start and its close."""

    async def whole() -> T:
        await engine.start()
        try:
            return await asyncio.wait_for(work(engine), 120)
        finally:
            await engine.close()

    return asyncio.run(whole())


def asked(text: str, n: int = 1, seed: int = 0) -> Request:
    return Request(text, Prompt(text=text), 0, n, seed)


def drawn(engine: Engine, *requests: Request) -> list[list[Completion]]:
    """What comes back for requests made at once."""

    async def work(engine: Engine) -> list[list[Completion]]:
        return await asyncio.gather(*(engine.generate(request) for request in requests))

    return during(engine, work)


def bare_generate(model: Path, text: str, **settings: Any) -> str:
    """The continuation that transformers gives by itself; special tokens left out."""
    loaded = transformers.AutoModelForCausalLM.from_pretrained(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    ids = tokenizer(text, return_tensors="pt")
    new = loaded.generate(**ids, **settings)[0, ids["input_ids"].shape[1] :]
    return str(tokenizer.decode(new, skip_special_tokens=True))


def test_a_seed_draws_the_same_alone_and_in_any_company(tiny: Path) -> None:
    together, _, _ = drawn(opened(tiny), asked("12+34=", 16, 1000), asked("9", 7, 5), asked("what is it? " * 4, 9, 70))
    alone = drawn(opened(tiny, {"batch_size": 1}), *(asked("12+34=", 1, 1000 + i) for i in range(16)))
    uneven = drawn(opened(tiny, {"batch_size": 5}), asked("12+34=", 9, 1000), asked("12+34=", 7, 1009))
    assert [one for (one,) in alone] == together
    assert uneven[0] + uneven[1] == together
    assert len({one.text for one in together}) > 12


def test_first_tokens_come_as_often_as_the_model_says(tiny: Path) -> None:
    (completions,) = drawn(opened(tiny, {"batch_size": 1000}, max_tokens=1), asked("7*8=", 4000, 12345))
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    with torch.no_grad():
        chances = model(**tokenizer("7*8=", return_tensors="pt")).logits[0, -1].double().softmax(-1).tolist()
    counts = Counter(one.text for one in completions)
    expected = {"": sum(chances[:3])} | {character: chances[3 + i] for i, character in enumerate(CHARACTERS)}
    common = [text for text, chance in expected.items() if chance * 4000 >= 5]
    observed = [counts[text] for text in common]
    wanted = [expected[text] * 4000 for text in common]
    # What is too rare for the test is lumped together.
    observed.append(4000 - sum(observed))
    wanted.append(4000 - sum(wanted))
    assert stats.chisquare(observed, wanted).pvalue > 1e-4


def test_at_temperature_zero_the_most_probable_token_wins(tiny: Path) -> None:
    (completions,) = drawn(opened(tiny, temperature=0.0), asked("3+4=", 3, 9))
    expected = bare_generate(tiny, "3+4=", do_sample=False, max_new_tokens=24)
    assert [one.text for one in completions] == [expected] * 3


def test_ends_and_counts(tiny: Path) -> None:
    (completions,) = drawn(opened(tiny), asked("3+4=", 64, 1))
    assert {one.finish_reason for one in completions} == {"stop", "length"}
    for one in completions:
        assert one.prompt_tokens == 5  # <s> and four characters, no padding
        if one.finish_reason == "length":
            assert one.completion_tokens == 24
        else:
            assert len(one.text) < one.completion_tokens <= 24  # the end token counts, and says nothing


def test_padding_is_not_counted(tiny: Path) -> None:
    (short,), (long,) = drawn(opened(tiny), asked("1"), asked("1" * 30))
    assert (short.prompt_tokens, long.prompt_tokens) == (2, 31)


def test_a_chat_begins_once(tiny: Path) -> None:
    chat = Request("p", Prompt(messages=(Message("user", "1+1"),)), 0, 1, 0)
    ((one,),) = drawn(opened(tiny), chat)
    assert one.prompt_tokens == 1 + len("user: 1+1\nassistant: ")


def test_a_stop_string_ends_a_rollout_and_is_cut_off(tiny: Path) -> None:
    (free,) = drawn(opened(tiny), asked("3+4=", 32, 1))
    stop = next(one.text for one in free if len(one.text) > 8 and one.completion_tokens > len(one.text))[4:6]
    (stopped,) = drawn(opened(tiny, stop=[stop, "never in here"]), asked("3+4=", 32, 1))
    hit = 0
    for before, after in zip(free, stopped, strict=True):
        if stop in before.text:
            hit += 1
            assert after.text == before.text[: before.text.index(stop)]
            assert after.finish_reason == "stop"
            assert after.completion_tokens >= len(after.text) + len(stop)
        else:
            assert after == before
    assert hit


def test_a_stop_string_does_not_begin_in_the_prompt(tiny: Path) -> None:
    ((first,),) = drawn(opened(tiny, temperature=0.0), asked("zz"))
    stop = "z" + first.text[0]
    assert stop not in first.text
    assert drawn(opened(tiny, temperature=0.0, stop=[stop]), asked("zz")) == [[first]]


def with_generation_config(model: Path, folder: Path, **settings: Any) -> Path:
    """A copy of a model whose own generation settings are these."""
    shutil.copytree(model, folder)
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


def test_the_models_own_sampling_settings_do_not_leak(tiny: Path, tmp_path: Path) -> None:
    settings = {"do_sample": True, "top_k": 1, "temperature": 0.1, "repetition_penalty": 3.0, "min_new_tokens": 20}
    opinionated = with_generation_config(
        tiny, tmp_path / "m", eos_token_id=2, pad_token_id=0, suppress_tokens=list(range(5, 30)), **settings
    )
    request = asked("3+4=", 16, 1)
    assert drawn(opened(opinionated), request) == drawn(opened(tiny), request)


def test_every_end_token_of_the_model_ends_a_rollout(tiny: Path, tmp_path: Path) -> None:
    ends = [2, 3 + CHARACTERS.index("5"), 3 + CHARACTERS.index("f")]
    model = with_generation_config(tiny, tmp_path / "m", eos_token_id=ends, pad_token_id=0)
    (free,), (completions,) = drawn(opened(tiny), asked("3+4=", 32, 1)), drawn(opened(model), asked("3+4=", 32, 1))
    assert any("5" in one.text or "f" in one.text for one in free)
    for before, after in zip(free, completions, strict=True):
        cut = min((before.text.index(end) for end in "5f" if end in before.text), default=None)
        assert after.text == before.text[:cut]
        assert after.finish_reason == ("stop" if cut is not None else before.finish_reason)


def test_a_request_that_breaks_the_model_breaks_no_other(tmp_path: Path) -> None:
    # The tokenizer knows a character that the model has no embedding for.
    save_model(tmp_path, save_tokenizer(tmp_path, more="!") - 1)

    async def work(engine: Engine) -> Sequence[object]:
        requests = (asked("1+1", 3, 1), asked("oh!", 2, 2), asked("2+2", 3, 3))
        return await asyncio.gather(*(engine.generate(request) for request in requests), return_exceptions=True)

    first, broken, last = during(opened(tmp_path), work)
    assert isinstance(broken, RequestError)
    assert [first, last] == drawn(opened(tmp_path), asked("1+1", 3, 1), asked("2+2", 3, 3))


def test_a_prompt_too_long_for_the_context(tiny: Path) -> None:
    async def work(engine: Engine) -> list[Completion]:
        with pytest.raises(RequestError, match="128"):
            await engine.generate(asked("1" * 104))
        return await engine.generate(asked("1" * 103))

    assert during(opened(tiny), work)[0].prompt_tokens == 104


def test_max_tokens_that_fill_the_context(tiny: Path) -> None:
    with pytest.raises(EngineError, match="leaves no room"):
        opened(tiny, max_tokens=128)


def test_cancelling_takes_a_request_out_of_the_queue(tiny: Path) -> None:
    async def work(engine: Engine) -> list[Completion]:
        # A hundred thousand batches of one: nothing after it would ever be drawn, were it not taken out.
        endless = asyncio.create_task(engine.generate(asked("1+1", 100_000, 1)))
        await asyncio.sleep(0.1)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        return await engine.generate(asked("2+2", 2, 7))

    assert during(opened(tiny, {"batch_size": 1}), work) == drawn(opened(tiny), asked("2+2", 2, 7))[0]


def test_closing_fails_what_waits(tiny: Path) -> None:
    engine = opened(tiny, {"batch_size": 1})

    async def whole() -> None:
        await engine.start()
        waiting = asyncio.create_task(engine.generate(asked("1+1", 100_000, 1)))
        await asyncio.sleep(0.1)
        await engine.close()
        with pytest.raises(EngineError, match="closed"):
            await waiting
        with pytest.raises(EngineError, match="closed"):
            await engine.generate(asked("1+1"))
        await engine.close()

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_before_start_nothing_is_drawn(tiny: Path) -> None:
    with pytest.raises(EngineError, match="not started"):
        asyncio.run(opened(tiny).generate(asked("1+1")))


def test_no_weights(tmp_path: Path) -> None:
    save_model(tmp_path, save_tokenizer(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="weights") as caught:
        asyncio.run(opened(tmp_path).start())
    assert caught.value.where == "model.path"


@pytest.mark.parametrize(
    ("options", "where", "hint"),
    [
        ({"batchsize": 3}, "engine.options.batchsize", "did you mean 'batch_size'?"),
        ({"batch_size": 0}, "engine.options.batch_size", None),
        ({"device": "tpu"}, "engine.options.device", None),
        ({"dtype": "int8"}, "engine.options.dtype", None),
    ],
)
def test_options_that_cannot_be(tiny: Path, options: dict[str, Any], where: str, hint: str | None) -> None:
    with pytest.raises(RecipeError) as caught:
        opened(tiny, options)
    assert (caught.value.where, caught.value.hint) == (where, hint)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there(tiny: Path) -> None:
    with pytest.raises(RecipeError, match="0 CUDA devices") as caught:
        asyncio.run(opened(tiny, {"device": "cuda"}).start())
    assert caught.value.where == "engine.options.device"


def test_the_engine_says_what_it_is(tiny: Path) -> None:
    engine = opened(tiny, {"batch_size": 8})
    assert engine.name == f"transformers {transformers.__version__}"
    assert engine.capacity == 16
    assert engine.identity().path == str(tiny)
    assert engine.render(Prompt(text="1+1")) == "1+1"

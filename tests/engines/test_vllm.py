"""The real vLLM on the tiny random model. Run by ``make test-vllm``, in an environment of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.engines import Engine, connect
from curate.errors import EngineError, RecipeError, RequestError
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, Message, Prompt, Request

pytestmark = pytest.mark.vllm

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def opened(model: Path, kind: str = "vllm", options: dict[str, Any] | None = None, **sampling: Any) -> Engine:
    return connect(
        ModelSection(path=str(model)),
        EngineSection(kind=kind, options=options or {}),
        SamplingSection(**{"max_tokens": 24, **sampling}),
    )


def asked(text: str, n: int = 1, seed: int = 0) -> Request:
    return Request(text, Prompt(text=text), 0, n, seed)


async def gathered(engine: Engine, *requests: Request) -> list[list[Completion]]:
    return await asyncio.wait_for(asyncio.gather(*(engine.generate(request) for request in requests)), 120)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a coroutine, on one loop for all tests: an AsyncLLM belongs to its loop."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="module")
def engine(tiny: Path, run: Run) -> Iterator[Engine]:
    """An engine that takes at most 64 rollouts at once, and has no room for all their prompts in one step."""
    made = opened(tiny, options={"max_in_flight": 64, "max_num_batched_tokens": 128})
    run(made.start())
    yield made
    run(made.close())


def test_child_i_is_the_rollout_of_seed_plus_i(engine: Engine, run: Run) -> None:
    (sixteen,) = run(gathered(engine, asked("12+34=", 16, 1000)))
    alone = run(gathered(engine, *(asked("12+34=", 1, 1000 + i) for i in range(16))))
    assert [one for (one,) in alone] == sixteen
    (last_eleven,) = run(gathered(engine, asked("12+34=", 11, 1005)))
    assert last_eleven == sixteen[5:]
    assert len({one.text for one in sixteen}) > 12


def test_a_wide_request_is_the_same_as_its_pieces(engine: Engine, run: Run) -> None:
    (wide,) = run(gathered(engine, asked("12+34=", 100, 7)))
    pieces = run(gathered(engine, asked("12+34=", 50, 7), asked("12+34=", 50, 57)))
    assert pieces[0] + pieces[1] == wide


def test_many_requests_at_once(engine: Engine, run: Run) -> None:
    assert engine.capacity == 64
    answers = run(gathered(engine, *(asked(f"{i}+{i}=", 4, 100 * i) for i in range(400))))
    assert [len(answer) for answer in answers] == [4] * 400
    assert {one.prompt_tokens for one in answers[7]} == {1 + len("7+7=")}
    assert [answers[7]] == run(gathered(engine, asked("7+7=", 4, 700)))


def test_a_cancelled_request_leaves_its_place_to_others(engine: Engine, run: Run) -> None:
    async def work() -> list[Completion]:
        # Hours of work in 64 places: what comes later is drawn only if all of it is given up.
        endless = asyncio.create_task(engine.generate(asked("1+1=", 300_000, 1)))
        await asyncio.sleep(1.0)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        return await asyncio.wait_for(engine.generate(asked("2+2=", 3, 5)), 60)

    after = run(work())
    assert [after] == run(gathered(engine, asked("2+2=", 3, 5)))


def test_a_prompt_too_long_for_the_context(engine: Engine, run: Run) -> None:
    with pytest.raises(RequestError, match="128"):
        run(engine.generate(asked("1" * 104)))
    assert run(engine.generate(asked("1" * 103)))[0].prompt_tokens == 104


def test_without_temperature_it_says_what_transformers_says(tiny: Path, run: Run) -> None:
    texts = [f"{i}+{j}=" for i in (1, 23, 456) for j in (7, 89)] + ["what is it", "x", "1" * 60]
    requests = [asked(text) for text in texts]
    requests.append(Request("chat", Prompt(messages=(Message("user", "3*4"),)), 0, 2, 0))

    def both(**sampling: Any) -> tuple[Any, Any]:
        answers = []
        for kind, options in (("vllm", {}), ("transformers", {"device": "cpu"})):
            engine = opened(tiny, kind, options, temperature=0.0, **sampling)
            run(engine.start())
            answers.append(run(gathered(engine, *requests)))
            run(engine.close())
        return answers[0], answers[1]

    free, same = both()
    assert free == same
    assert {one.finish_reason for answer in free for one in answer} <= {"stop", "length"}
    stop = max((one.text for answer in free for one in answer), key=len)[10:12]
    stopped, same = both(stop=[stop])
    assert stopped == same
    assert stopped != free


def test_its_process_may_die(tiny: Path, run: Run) -> None:
    psutil = pytest.importorskip("psutil")
    before = set(psutil.Process().children(recursive=True))
    engine = opened(tiny)

    async def work() -> None:
        await engine.start()
        waiting = asyncio.create_task(engine.generate(asked("1+1=", 100_000)))
        await asyncio.sleep(0.5)
        for process in set(psutil.Process().children(recursive=True)) - before:
            process.kill()
        with pytest.raises(EngineError) as caught:
            await asyncio.wait_for(waiting, 60)
        assert not isinstance(caught.value, RequestError)
        await engine.close()

    run(work())


def test_closing_fails_what_waits(tiny: Path, run: Run) -> None:
    engine = opened(tiny)

    async def work() -> None:
        await engine.start()
        waiting = asyncio.create_task(engine.generate(asked("1+1=", 100_000)))
        await asyncio.sleep(0.5)
        await engine.close()
        with pytest.raises(EngineError, match="closed"):
            await asyncio.wait_for(waiting, 30)
        await engine.close()

    run(work())


def test_it_writes_nothing_to_stdout(tiny: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, sys\n"
        "from curate.engines import connect\n"
        "from curate.recipe import EngineSection, ModelSection, SamplingSection\n"
        "from curate.records import Prompt, Request\n"
        "async def main():\n"
        "    section = EngineSection(kind='vllm', options={'max_num_seqs': 8})\n"
        "    engine = connect(ModelSection(path=sys.argv[1]), section, SamplingSection(max_tokens=8))\n"
        "    await engine.start()\n"
        "    drawn = await engine.generate(Request('p', Prompt(text='1+1='), 0, 3, 0))\n"
        "    await engine.close()\n"
        "    print(len(drawn), engine.capacity)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, str(program), str(tiny)], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 16\n"


def test_options_that_cannot_be(tiny: Path, run: Run) -> None:
    with pytest.raises(RecipeError) as caught:
        opened(tiny, options={"max_num_seq": 8})
    assert (caught.value.where, caught.value.hint) == ("engine.options.max_num_seq", "did you mean 'max_num_seqs'?")
    with pytest.raises(RecipeError) as caught:
        opened(tiny, options={"seed": 8})
    assert (caught.value.where, caught.value.hint) == ("engine.options.seed", "set sampling.seed")
    with pytest.raises(RecipeError):
        opened(tiny, options={"max_in_flight": 0})
    with pytest.raises(EngineError, match="vLLM cannot serve"):
        run(opened(tiny, options={"max_model_len": 100_000}).start())

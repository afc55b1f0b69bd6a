"""Wrote the files here: NeMo Gym (nemo-gym 0.4.0, Python 3.12), its rollout collection with a stand-in for its servers.

The collection, the shapes of response and verification and all that is written are NeMo Gym's; only the request to an
agent's server is answered here. One attempt fails. Run in an empty folder.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from nemo_gym.base_resources_server import BaseVerifyResponse
from nemo_gym.openai_utils import NeMoGymResponse
from nemo_gym.rollout_collection import RolloutCollectionConfig, RolloutCollectionHelper

PROBLEMS = [("What is 9+5?", "14"), ("What is 47*6?", "282")]


class Verified(BaseVerifyResponse):
    expected_answer: str


def response(text: str, cut: bool) -> NeMoGymResponse:
    return NeMoGymResponse(
        id="resp",
        created_at=0.0,
        object="response",
        model="tiny",
        status="incomplete" if cut else "completed",
        incomplete_details={"reason": "max_output_tokens"} if cut else None,
        parallel_tool_calls=False,
        tool_choice="auto",
        tools=[],
        output=[
            {
                "id": "msg",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }
        ],
        usage={
            "input_tokens": 12,
            "output_tokens": 24,
            "total_tokens": 36,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    )


class Collection(RolloutCollectionHelper):
    def run_examples(self, examples, **_servers):
        async def run(row):
            answer, draw = row["expected_answer"], row["_ng_rollout_index"]
            if answer == "282" and draw == 1:
                return row, {"_ng_failure_class": "model_error", "error": "502 from the model server"}
            text = f"so \\boxed{{{answer if draw == 0 else 15}}}"
            verified = Verified(
                responses_create_params=row["responses_create_params"],
                response=response(text, cut=answer == "282"),
                reward=float(draw == 0),
                expected_answer=answer,
            )
            return row, verified.model_dump(mode="json")

        return [run(row) for row in examples]


Path("sums.jsonl").write_text(
    "".join(
        json.dumps(
            {
                "responses_create_params": {
                    "input": [{"role": "user", "content": question}],
                    "temperature": 1.0,
                    "max_output_tokens": 160,
                },
                "expected_answer": answer,
                "source": "sums",
            }
        )
        + "\n"
        for question, answer in PROBLEMS
    )
)
config = RolloutCollectionConfig(
    agent_name="simple_agent",
    input_jsonl_fpath="sums.jsonl",
    output_jsonl_fpath="sums_rollouts.jsonl",
    num_repeats=2,
    disable_aggregation=True,
    upload_rollouts_to_wandb=False,
)
asyncio.run(Collection().run_from_config(config))

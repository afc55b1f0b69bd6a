import verifiers.v1 as vf

PROBLEMS = [("What is 9+5?", "14"), ("What is 47*6?", "282"), ("What is 8+6?", "14")]


class SumsData(vf.TaskData):
    answer: str


class SumsTask(vf.Task[SumsData]):
    @vf.reward(weight=1.0)
    async def right(self, trace: vf.Trace) -> float:
        return float(f"boxed{{{self.data.answer}}}" in trace.last_reply)

    @vf.reward(weight=0.0)
    async def short(self, trace: vf.Trace) -> float:
        return float(len(trace.last_reply) < 80)


class SumsTaskset(vf.Taskset[SumsTask, vf.TasksetConfig]):
    def load(self) -> list[SumsTask]:
        return [
            SumsTask(SumsData(idx=i, prompt=question, answer=answer), self.config.task)
            for i, (question, answer) in enumerate(PROBLEMS)
        ]

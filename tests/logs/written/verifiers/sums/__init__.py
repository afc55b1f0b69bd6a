from sums.harness import SumsHarness
from sums.taskset import SumsTaskset

__all__ = ["SumsHarness", "SumsTaskset"]

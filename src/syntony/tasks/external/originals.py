"""Original packages of the built-in benchmarks, recognized by their tasks' ids."""

import re

from syntony.tasks.scene import Benchmark


def original_benchmark(id: str) -> Benchmark:
    """Benchmark of an external environment; one without a name if it is unknown.

    Args:
        id: id of the environment, e.g. `gymnasium:rware:rware-tiny-2ag-v2`.
    """
    library, _, name = id.partition("?")[0].partition(":")
    if library == "pettingzoo" and name.startswith("mpe2."):
        scenario = re.sub(r"_v\d+$", "", name.removeprefix("mpe2."))
        return Benchmark("particles", scenario=scenario)
    if library != "gymnasium":
        return Benchmark("")
    if name.startswith("rware"):
        return Benchmark("warehouse")
    board = re.search(r"Foraging(?:-\d+s)?-(\d+)x", name)
    return Benchmark("foraging", rows=int(board[1])) if board else Benchmark("")

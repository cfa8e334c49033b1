"""Table of other libraries' environments: whether each opens, trains, is evaluated.

    python benchmarks/try_environments.py [--csv FILE] [--only TEXT] [--steps N]

For each id: MAPPO with four environments side by side trains for a few batches of
episodes, in a process of its own, and is evaluated before and after. This shows that an
environment works, not that a team learns it. Libraries that are not installed are
listed as such; the lock holds three of them. The others:

    pip install "pettingzoo[sisl,butterfly,classic]" magent2 momaland jaxmarl jumanji
    pip install rtree scikit-learn
    pip install --no-deps git+https://github.com/uoe-agents/smaclite
    pip install --no-deps git+https://github.com/uoe-agents/matrix-games
"""

import argparse
import csv
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
import warnings
from typing import Any

TIMEOUT_SECONDS = 240
IDS = (
    "gymnasium:lbforaging:Foraging-8x8-2p-3f-v3",
    "gymnasium:lbforaging:Foraging-2s-8x8-3p-2f-coop-v3?max_player_level=3",
    "gymnasium:lbforaging:Foraging-8x8-2p-3f-v3?max_episode_steps=100",
    "gymnasium:rware:rware-tiny-2ag-v2?time_limit=100",
    "gymnasium:rware:rware-small-4ag-v2?time_limit=100",
    "gymnasium:smaclite:smaclite/2s_vs_1sc-v0?time_limit=60",
    "gymnasium:smaclite:smaclite/2s3z-v0?time_limit=60",
    "gymnasium:matrixgames:climbing-nostate-v0",
    "gymnasium:matrixgames:penalty-100-nostate-v0",
    "pettingzoo:mpe2.simple_spread_v3",
    "pettingzoo:mpe2.simple_speaker_listener_v4",
    "pettingzoo:mpe2.simple_reference_v3",
    "pettingzoo:mpe2.simple_tag_v3",
    "pettingzoo:mpe2.simple_tag_v3"
    "?team=adversary_0,adversary_1,adversary_2&others=random",
    "pettingzoo:mpe2.simple_adversary_v3?team=agent_0,agent_1&others=random",
    "pettingzoo:mpe2.simple_world_comm_v3",
    "pettingzoo:mpe2.simple_spread_v3?continuous_actions=true",
    "pettingzoo:pettingzoo.sisl.pursuit_v5?max_cycles=50&n_pursuers=4&n_evaders=6",
    "pettingzoo:pettingzoo.sisl.multiwalker_v9",
    "pettingzoo:pettingzoo.butterfly.knights_archers_zombies_v11?max_cycles=60",
    "pettingzoo:pettingzoo.butterfly.cooperative_pong_v6?max_cycles=20",
    "pettingzoo:pettingzoo.butterfly.pistonball_v6?continuous=false&max_cycles=20",
    "pettingzoo:pettingzoo.classic.rps_v2",
    "pettingzoo:pettingzoo.classic.tictactoe_v3?time_limit=9",
    "pettingzoo:pettingzoo.classic.connect_four_v3?time_limit=42",
    "pettingzoo:pettingzoo.classic.hanabi_v5?time_limit=80",
    "pettingzoo:pettingzoo.classic.leduc_holdem_v4?time_limit=20",
    "pettingzoo:magent2.environments.battle_v4?map_size=16&max_cycles=50",
    "pettingzoo:magent2.environments.adversarial_pursuit_v4?map_size=16&max_cycles=50",
    "pettingzoo:momaland.envs.item_gathering.item_gathering?time_limit=50",
    "gymnasium:CartPole-v1",
    "jaxmarl:MPE_simple_spread_v3",
    "jaxmarl:MPE_simple_speaker_listener_v4",
    "jaxmarl:MPE_simple_reference_v3",
    "jaxmarl:SMAX?scenario=3m",
    "jaxmarl:SMAX?scenario=2s3z",
    "jaxmarl:switch_riddle",
    "jaxmarl:overcooked",
    "jaxmarl:hanabi",
    "jaxmarl:coin_game",
    "jaxmarl:storm",
    "jumanji:LevelBasedForaging-v0",
    "jumanji:RobotWarehouse-v0",
    "jumanji:Connector-v3",
    "jumanji:Cleaner-v0",
)
COLUMNS = (
    "id",
    "result",
    "agents",
    "actions",
    "obs_dim",
    "global_state_dim",
    "time_limit",
    "steps",
    "return_before",
    "return_after",
    "seconds",
    "remark",
)


def main() -> None:
    """Prints and writes the table, or tries one environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", help="also write the table to this file")
    parser.add_argument("--only", default="", help="only ids that contain this text")
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(try_environment(arguments.one, arguments.steps)))
        return
    table = []
    for id in filter(lambda id: arguments.only in id, IDS):
        row = in_own_process(id, arguments.steps)
        print(f"{row['result']:14} {id}  {row['remark']}", flush=True)
        table.append([row.get(name, "") for name in COLUMNS])
    if arguments.csv:
        with open(arguments.csv, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])


def in_own_process(id: str, steps: int) -> dict[str, object]:
    """Row of one environment; a crash or a timeout of its process is a result."""
    command = [sys.executable, __file__, "--one", id, "--steps", str(steps)]
    start = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return {"id": id, "result": "timeout", "remark": f"{TIMEOUT_SECONDS} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"id": id, "result": "crash", "remark": last}
    row = json.loads(done.stdout.splitlines()[-1])
    row["seconds"] = round(time.monotonic() - start, 1)
    return row | {"id": id}


def try_environment(id: str, steps: int) -> dict[str, Any]:
    """Sizes and returns of one environment, or the one line that refuses it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        row = train_briefly(id, steps)
    told = {str(x.message) for x in caught if x.category is UserWarning}
    ours = [text.removeprefix(f"{id}: ") for text in told if text.startswith(id)]
    return row | {"remark": " ".join(filter(None, [row["remark"], *ours]))}


def train_briefly(id: str, steps: int) -> dict[str, Any]:
    """Row of one environment, without what it warned of."""
    import syntony

    try:
        task = syntony.task(id)
        system: Any = syntony.preset("mappo", "epymarl", task)
        constants = dataclasses.replace(system.actor_critic, num_envs=4)
        system = dataclasses.replace(system, actor_critic=constants)
        with tempfile.TemporaryDirectory() as folder:
            run = syntony.train(
                system,
                steps=steps,
                eval_every=steps,
                eval_episodes=8,
                out=f"{folder}/run",
                quiet=True,
            )
            rows = [x for x in run.metrics() if "eval/return_mean" in x]
    except (syntony.InvalidInputError, syntony.EnvironmentStepError) as error:
        missing = "not installed" in str(error) or "No module named" in str(error)
        return {
            "result": "not installed" if missing else "refused",
            "remark": str(error),
        }
    return {
        "result": "trains",
        "agents": task.num_agents,
        "actions": task.num_actions,
        "obs_dim": task.obs_dim,
        "global_state_dim": getattr(task, "global_state_dim", 0),
        "time_limit": task.time_limit,
        "steps": rows[-1]["step"],
        "return_before": round(float(rows[0]["eval/return_mean"]), 3),
        "return_after": round(float(rows[-1]["eval/return_mean"]), 3),
        "remark": "",
    }


if __name__ == "__main__":
    main()

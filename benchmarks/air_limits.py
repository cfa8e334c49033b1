"""Teams that transmit, beside the limits of their tasks: return of each seed.

    python benchmarks/air_limits.py CASE... [--seeds 10] [--snrs 0,10] [--out DIR]

Trains `air` with its defaults in the named cases (`--list` prints them) and appends a
row to DIR/air.csv for every seed and SNR: case, constants, mean return of sampled and
of greedy actions over 20,000 episodes, and seconds. One program trains all seeds, SNRs
and hints of a case. Constants were chosen on seeds from 100 on. DIR/made_by.json has
the command, commit, versions, hardware and constants of each case.

Cases that compare feedback signals are also evaluated ten times during training, over
2,000 episodes at the channel's SNR. DIR/curves.csv has their returns, and at the end
the share of the codewords' variance that follows each entity of the observations, and
the mean weight of the filters for it, means over agents.
"""

import argparse
import csv
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from syntony.channels.channel import AnyChannel
from syntony.channels.registry import channel
from syntony.evaluation.transmissions import (
    Transmissions,
    agent_codes,
    collect_transmissions,
    group_features,
)
from syntony.presets.air_configs import filtered_air, tuned_air
from syntony.systems.air.over_the_air import OverTheAir, OverTheAirState
from syntony.systems.air.transmission import teammate_indices
from syntony.tasks.registry import task
from syntony.tasks.task import Task
from syntony.training.devices import (
    compiler_options,
    enable_compilation_cache,
    fast_compile_options,
)
from syntony.training.provenance import collect_provenance
from syntony.training.serialization import serialize
from syntony.visualization.obs_features import obs_features

EVAL_EPISODES, EVAL_KEY = 20_000, 77
CODE_EPISODES = 2_000
"""Episodes whose symbols show what codewords follow."""
Constants = Mapping[str, object]


class Case(NamedTuple):
    """Trainings that one program makes."""

    tasks: tuple[str, ...]
    """Tasks of the same shapes."""
    snrs_db: tuple[float, ...]
    steps: int
    uses: int = 1
    transmission: Constants = MappingProxyType({})
    beliefs: Constants = MappingProxyType({})
    preset: Callable[[Task, AnyChannel], OverTheAir] = tuned_air
    evaluations: int = 0
    """During training, beside that at its end."""


CUE = "probe-cue?cues=4"
HINTED = f"{CUE}&hint=0.7"
DISTRACTED = f"{CUE}&distractors=16"
LISTENER = "SpeakerListener?word=false"
SIGNALS = ("action", "belief", "return")
CASES = {
    "cue": Case((CUE,), (0.0, 10.0, -5.0, 5.0, -10.0), 200_000),
    "hint": Case((HINTED,), (0.0, 10.0, -5.0, 5.0), 200_000),
    "distractors": Case((DISTRACTED,), (10.0,), 200_000),
    "cue16": Case(("probe-cue?cues=16",), (0.0,), 200_000, uses=2),
    "listener": Case((LISTENER,), (10.0,), 1_000_000),
    "hearsee": Case(("HearSee",), (10.0, 0.0, -10.0), 1_000_000),
    **{
        f"listener-{mode}": Case(
            (LISTENER,), (10.0,), 1_000_000, transmission={"communication": mode}
        )
        for mode in ("none", "perfect")
    },
    **{
        f"hearsee-{mode}": Case(
            ("HearSee",), (10.0,), 1_000_000, transmission={"communication": mode}
        )
        for mode in ("none", "perfect")
    },
    **{
        f"{name}-{signal}": Case(
            tasks,
            snrs_db,
            steps,
            transmission={"feedback_signal": signal},
            evaluations=10,
        )
        for signal in SIGNALS
        for name, tasks, snrs_db, steps in (
            ("hint", (HINTED,), (-5.0, 0.0, 10.0), 200_000),
            ("distractors", (DISTRACTED,), (0.0, 5.0, 10.0), 200_000),
            ("listener", (LISTENER,), (-10.0, 0.0, 10.0), 1_000_000),
        )
    },
    "distractors-filters": Case(
        (DISTRACTED,),
        (10.0, 5.0, 0.0),
        200_000,
        preset=filtered_air,
        evaluations=10,
    ),
    "hint-filters": Case(
        (HINTED,),
        (-5.0, 0.0, 10.0),
        200_000,
        preset=filtered_air,
        evaluations=10,
    ),
    **{
        f"distractors-filters-{name}": Case(
            (DISTRACTED,),
            (10.0,),
            200_000,
            preset=filtered_air,
            beliefs=beliefs,
            evaluations=10,
        )
        for name, beliefs in (
            ("slow-critic", {"filter_critic_lr": 5e-4}),
            ("norm", {"lambda_norm": 0.1}),
        )
    },
    # What is seen is not transmitted: a belief of two numbers is the only bottleneck.
    **{
        f"narrow-{name}": Case(
            (DISTRACTED,),
            (10.0,),
            200_000,
            transmission={"communication": "perfect"},
            beliefs={"latent_dim": 2},
            preset=preset,
            evaluations=10,
        )
        for name, preset in (("filters", filtered_air), ("all", tuned_air))
    },
}


def make_system(case: Case, task_id: str, snr_db: float) -> OverTheAir:
    """System of one training."""
    awgn = channel(f"awgn?snr_db={snr_db}")
    system = case.preset(task(task_id), awgn)
    system = dataclasses.replace(
        system,
        uses=case.uses,
        transmission=dataclasses.replace(system.transmission, **case.transmission),
        beliefs=dataclasses.replace(system.beliefs, **case.beliefs),
    )
    return system.resolve_steps(case.steps)


@partial(jax.jit, compiler_options=compiler_options())
def train(
    system: OverTheAir, state: OverTheAirState, until_step: Int[Array, ""]
) -> OverTheAirState:
    """State after training until a step."""
    return jax.lax.while_loop(
        lambda state: state.env_steps < until_step,
        lambda state: system.step(state)[0],
        state,
    )


@partial(jax.jit, compiler_options=compiler_options())
def evaluate(
    system: OverTheAir, state: OverTheAirState, key: Key[Array, ""]
) -> dict[str, Float[Array, ""]]:
    """Mean of each metric over 2,000 episodes."""
    samples = system.evaluate(state, key, EVAL_EPISODES // 10)
    return {name: jnp.mean(x) for name, x in samples.items()}


@partial(jax.jit, compiler_options=fast_compile_options())
def init(system: OverTheAir, key: Key[Array, ""]) -> OverTheAirState:
    """Initial state."""
    return system.init(key)


def trainings(case: Case, seeds: range) -> Iterator[tuple[str, float, int]]:
    """Yields task, SNR and seed of all trainings of a case."""
    for snr_db in case.snrs_db:
        for task_id in case.tasks:
            for seed in seeds:
                yield task_id, snr_db, seed


def run(name: str, case: Case, seeds: range, out: Path) -> None:
    """Trains and evaluates a case, and appends its rows to the files."""
    for task_id, snr_db, seed in trainings(case, seeds):
        start = time.perf_counter()
        row = {"case": name, "task": task_id, "snr_db": snr_db, "seed": seed}
        system = make_system(case, task_id, snr_db)
        state = init(system, jax.random.key(seed))
        for step in stops(case):
            state = train(system, state, jnp.asarray(step))
            if case.evaluations:
                means = evaluate_mean(system, state, 1)
                value = means["eval/return_mean"]
                append_row(out / "curves.csv", measured(row, step, "return", value))
        found = entities(system, state) if case.evaluations else {}
        for metric, value in found.items():
            append_row(out / "curves.csv", measured(row, case.steps, metric, value))
        means = evaluate_mean(system, state, 10)
        row = {
            "case": name,
            "task": task_id,
            "snr_db": snr_db,
            "uses": case.uses,
            "seed": seed,
            "steps": case.steps,
            "return_mean": round(means["eval/return_mean"], 5),
            "return_mean_greedy": round(means["eval/return_mean_greedy"], 5),
            "episodes": EVAL_EPISODES,
            "seconds": round(time.perf_counter() - start, 1),
        }
        append_row(out / "air.csv", row)
        print(row, flush=True)


def stops(case: Case) -> list[int]:
    """Steps at which the training is evaluated."""
    count = max(case.evaluations, 1)
    return [case.steps * (i + 1) // count for i in range(count)]


def measured(
    row: Mapping[str, object], step: int, metric: str, value: float
) -> dict[str, object]:
    """Row of a measurement at a step."""
    return {**row, "step": step, "metric": metric, "value": round(value, 5)}


def evaluate_mean(
    system: OverTheAir, state: OverTheAirState, batches: int
) -> dict[str, float]:
    """Mean of each metric over batches of 2,000 episodes, at the channel's own SNR."""
    state = system.evaluation_state(state)
    keys = jax.random.split(jax.random.key(EVAL_KEY), batches)
    parts = [evaluate(system, state, key) for key in keys]
    return {name: float(sum(p[name] for p in parts)) / batches for name in parts[0]}


def entities(system: OverTheAir, state: OverTheAirState) -> dict[str, float]:
    """What codewords follow, and filter weights, of each entity; means over agents."""
    state = system.evaluation_state(state)
    key = jax.random.key(EVAL_KEY)
    samples = collect_transmissions(
        system, state, key, episodes=CODE_EPISODES, max_samples=CODE_EPISODES
    )
    found: dict[str, float] = {}
    if system.trains_transmitters:
        codes = agent_codes(samples, obs_features(system.task))
        shares = mean_of([code.shares for code in codes])
        found |= {f"share of {name}": value for name, value in shares.items()}
    if system.beliefs.filters:
        weights = entity_weights(system, state, samples)
        found |= {f"weight of {name}": value for name, value in weights.items()}
    return found


def entity_weights(
    system: OverTheAir, state: OverTheAirState, samples: Transmissions
) -> dict[str, float]:
    """Mean filter weight of each entity that teammates observe."""
    obs = samples.obs
    belief = system.decode_received(
        state, jnp.asarray(obs), jnp.asarray(samples.received)
    )
    w = np.asarray(belief.filter_weights)
    w = w.reshape(len(obs), obs.shape[1], -1, obs.shape[2]).mean(axis=0)
    indices = teammate_indices(obs.shape[1])
    groups = [group_features(names) for names in obs_features(system.task)]
    weights = [
        {name: float(w[i, k, columns].mean()) for name, columns in groups[j].items()}
        for i, teammates in enumerate(indices)
        for k, j in enumerate(teammates)
    ]
    return mean_of(weights)


def mean_of(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each name over those that have it."""
    names = dict.fromkeys(name for each in values for name in each)
    return {
        name: float(np.mean([each[name] for each in values if name in each]))
        for name in names
    }


def write_made_by(path: Path, name: str, case: Case) -> None:
    """Adds command, commit and constants of a case to a JSON file."""
    made_by = json.loads(path.read_text()) if path.exists() else {}
    system = make_system(case, case.tasks[0], case.snrs_db[0])
    made_by[name] = collect_provenance() | {"settings": serialize(system)}
    path.write_text(json.dumps(made_by, indent=1) + "\n")


def append_row(path: Path, row: Mapping[str, object]) -> None:
    """Appends a row to a CSV file, which has a header."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """Runs the named cases in their order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CASE")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--snrs", help="SNRs in dB, of those of the case: 0,10")
    parser.add_argument("--out", type=Path, default=Path("results/air"))
    parser.add_argument("--list", action="store_true", help="print the cases")
    args = parser.parse_args()
    if args.list:
        print("\n".join(CASES))
    enable_compilation_cache()
    args.out.mkdir(parents=True, exist_ok=True)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    for name in args.cases:
        case = CASES[name]
        if args.snrs:
            wanted = [float(snr_db) for snr_db in args.snrs.split(",")]
            case = case._replace(snrs_db=tuple(s for s in case.snrs_db if s in wanted))
        write_made_by(args.out / "made_by.json", name, case)
        run(name, case, seeds, args.out)


if __name__ == "__main__":
    main()

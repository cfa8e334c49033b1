"""Records tiny training runs, to prove that renaming changes no number.

    python tests/helpers/record_runs.py record before.json [RUN ...]
    python tests/helpers/record_runs.py compare before.json after.json

A recording holds, for each run, its metrics, the digests of its exported weights, and
those of every array of each seed's final state. Digests are sorted: neither the names
of arrays nor their order matter. Metrics are matched by name, through `METRIC_NAMES`.

Numbers are compared bit for bit: record both on one machine, with one version of JAX.
"""

import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import syntony
from syntony.channels.awgn import AWGN
from syntony.channels.rayleigh import Rayleigh
from syntony.systems.marl.actor_critic import ActorCriticConfig, PPOConfig
from syntony.systems.marl.smpe import ExplorationConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.marl.smpe_official import OfficialQuirks, SMPEOfficial
from syntony.systems.marl.value_decomposition import MixerConfig, QLearningConfig

METRIC_NAMES = {
    "train/return": "train/return_mean",
    "train/bonus": "train/exploration_bonus",
    "train/filter_weight": "train/filter_weight_mean",
    "eval/gradient_cosine": "eval/gradient_cosine_similarity",
}
"""Old name to new name of each renamed metric; `_low` and `_high` follow by themselves.
Applied to the old recording."""

TIMES = ("wall_s", "chain")
"""Entries of a line of metrics that measure time, or are a hash of those."""

MOST = 12
"""Differences of a run that are printed."""

EVERY: dict[str, Any] = {"seeds": 2, "eval_episodes": 8, "quiet": True}
"""What all runs share."""

Recorded = dict[str, Any]


def smpe(out: Path) -> syntony.Run:
    """SMPE with the paper's ways: 8 bursts of belief learning, 2 filter copies."""
    system = syntony.SMPE(
        task=syntony.task("Foraging-2s-6x6-3p-1f-coop?time_limit=12"),
        actor_critic=ActorCriticConfig(num_envs=4, hidden=16),
        beliefs=BeliefConfig(
            latent_dim=8,
            belief_update_interval=100,
            belief_minibatches=3,
            belief_minibatch_size=8,
            target_filter_interval=300,
            buffer_size=12,
        ),
        exploration=ExplorationConfig(hash_bits=6),
    )
    return syntony.train(system, steps=800, eval_every=200, out=out, **EVERY)


def smpe_released(out: Path) -> syntony.Run:
    """SMPE with every switch and constant of the preset `official_compat`."""
    system = SMPEOfficial(
        task=syntony.task("Foraging-2s-5x5-2p-1f-coop?time_limit=10"),
        actor_critic=ActorCriticConfig(num_envs=4, hidden=16, critic_lr=1e-3),
        beliefs=BeliefConfig(
            latent_dim=8,
            filter_layers=1,
            min_filter_weight=0.3,
            lambda_rec=0.1,
            lambda_norm=0.5,
            filter_critic_lr=5e-4,
            belief_update_interval=80,
            belief_minibatches=3,
            belief_minibatch_size=8,
            target_filter_interval=240,
            buffer_size=12,
            filter_update_interval=2,
            obs_clip=0.0,
            soft_clip_log_var=False,
        ),
        exploration=ExplorationConfig(hash_input="sample", hash_bits=16),
        quirks=OfficialQuirks(
            frozen_filtered_critic=True,
            shared_filter_optimizer=True,
            last_step_bootstrap=True,
            count_padded_steps=True,
            include_padding=True,
            count_sketch=True,
            beliefs_first=True,
            parameter_norm=True,
        ),
    )
    return syntony.train(system, steps=600, eval_every=200, out=out, **EVERY)


def maa2c(out: Path) -> syntony.Run:
    """MAA2C in a warehouse."""
    system = syntony.MAA2C(
        task=syntony.task("rware-tiny-2ag?time_limit=20"),
        actor_critic=ActorCriticConfig(num_envs=4, hidden=16),
    )
    return syntony.train(system, steps=800, eval_every=400, out=out, **EVERY)


def ia2c(out: Path) -> syntony.Run:
    """IA2C that sees its last action, with separate actors and critics."""
    system = syntony.IA2C(
        task=syntony.task("SpeakerListener?time_limit=10"),
        actor_critic=ActorCriticConfig(
            num_envs=4, hidden=16, shared_actor=False, shared_critic=False
        ),
        last_action=True,
    )
    return syntony.train(system, steps=400, eval_every=200, out=out, **EVERY)


def mappo(out: Path) -> syntony.Run:
    """MAPPO in another library's environment, stepped on the host."""
    system = syntony.MAPPO(
        task=syntony.task("pettingzoo:mpe2.simple_spread_v3?max_cycles=10"),
        actor_critic=ActorCriticConfig(num_envs=2, hidden=16),
        ppo=PPOConfig(ppo_epochs=2),
    )
    return syntony.train(system, steps=200, eval_every=100, out=out, **EVERY)


def ippo(out: Path) -> syntony.Run:
    """IPPO in a probe."""
    system = syntony.IPPO(
        task=syntony.task("probe-remember"),
        actor_critic=ActorCriticConfig(num_envs=8, hidden=16),
        ppo=PPOConfig(ppo_epochs=3),
    )
    return syntony.train(system, steps=640, eval_every=320, out=out, **EVERY)


def qmix(out: Path) -> syntony.Run:
    """QMIX: descents from a replay that wraps around, copies every 5 descents."""
    system = syntony.QMIX(
        task=syntony.task("Foraging-2s-5x5-2p-1f-coop?time_limit=10"),
        q_learning=QLearningConfig(
            num_envs=4,
            hidden=16,
            epsilon_anneal_steps=300,
            evaluation_epsilon=0.1,
            buffer_size=16,
            batch_size=8,
            episodes_per_update=2,
            target_update_interval=5,
        ),
        mixer=MixerConfig(mixing_embed_dim=8),
    )
    return syntony.train(system, steps=600, eval_every=200, out=out, **EVERY)


def vdn(out: Path) -> syntony.Run:
    """VDN that sees its last action: separate networks, soft copies, half precision."""
    system = syntony.VDN(
        task=syntony.task("SimpleSpread-3?time_limit=10"),
        q_learning=QLearningConfig(
            num_envs=4,
            hidden=16,
            shared_actor=False,
            epsilon_anneal_steps=300,
            buffer_size=16,
            obs_dtype="float16",
            batch_size=8,
            target_update="soft",
        ),
        last_action=True,
    )
    return syntony.train(system, steps=600, eval_every=200, out=out, **EVERY)


def link_feedback(out: Path) -> syntony.Run:
    """A link over AWGN with impaired, late feedback, and orthogonal directions."""
    system = syntony.Link(
        channel=AWGN(snr_db=8.0),
        feedback=syntony.Feedback(
            noise_std=0.5,
            bits=4,
            clip_quantile=0.95,
            bit_flip_prob=0.05,
            erasure_prob=0.1,
            delay_iterations=2,
        ),
        messages=8,
        uses=2,
        hidden=16,
        power_constraint="symbol",
        perturbation=syntony.PerturbationConfig(
            baseline="message", perturbation_directions="orthogonal"
        ),
        schedule=syntony.TrainingSchedule(
            decay_iterations=60,
            receiver_warmup_iterations=10,
            batch_size=64,
            learning_rate=1e-2,
        ),
    )
    return syntony.train(system, steps=60, eval_every=20, out=out, **EVERY)


def link_gaussian(out: Path) -> syntony.Run:
    """A Gaussian receiver, and backpropagation through a chain of impairments."""
    impairments = "amplifier?backoff_db=1.0+iq+cfo+phase+multipath+rician?snr_db=15.0"
    system = syntony.Link(
        channel=syntony.channel(impairments),
        messages=8,
        uses=2,
        hidden=16,
        receiver="gaussian",
        gradient="backprop",
        perturb_receiver_batches=True,
        training_snr_offset_db=-2.0,
        perturbation=syntony.PerturbationConfig(feedback_loss="odds", temperature=4.0),
        schedule=syntony.TrainingSchedule(
            decay_iterations=60,
            receiver_steps=2,
            transmitter_steps=2,
            receiver_warmup_iterations=10,
            batch_size=64,
            final_batch_multiplier=3,
            learning_rate=1e-2,
            receiver_lr_multiplier=3.0,
        ),
    )
    return syntony.train(system, steps=60, eval_every=20, out=out, **EVERY)


def link_fading(out: Path) -> syntony.Run:
    """A link over Rayleigh fading: an equalizing receiver, and SPSA."""
    system = syntony.Link(
        channel=Rayleigh(snr_db=15.0),
        feedback=syntony.Feedback(noise_std=0.1),
        messages=8,
        uses=3,
        hidden=16,
        power_constraint="codeword",
        gradient="spsa",
        perturbation=syntony.PerturbationConfig(spsa_perturbation_size=0.2),
        schedule=syntony.TrainingSchedule(
            decay_iterations=60,
            receiver_warmup_iterations=10,
            batch_size=64,
            optimizer="sgd",
            learning_rate=1e-1,
        ),
    )
    return syntony.train(system, steps=60, eval_every=20, out=out, **EVERY)


def link_black_box(out: Path) -> syntony.Run:
    """A link over a NumPy function that nothing is known of."""
    system = syntony.Link(
        channel=distort,  # type: ignore[arg-type]
        messages=8,
        uses=2,
        hidden=16,
        power_constraint="clipped",
        max_amplitude=1.2,
        perturbation=syntony.PerturbationConfig(loss_clip_quantile=0.9),
        schedule=syntony.TrainingSchedule(
            decay_iterations=30,
            receiver_warmup_iterations=5,
            batch_size=64,
            learning_rate=1e-2,
        ),
    )
    return syntony.train(system, steps=30, eval_every=10, out=out, **EVERY)


def distort(x: np.ndarray) -> np.ndarray:
    """Returns saturated symbols with noise, which follows from the symbols alone."""
    # Two seeds call this at once: a generator that they shared would mix them up.
    random = np.random.default_rng(zlib.crc32(x.tobytes()))
    noise = random.normal(size=(2, *x.shape)) * 0.2
    return x / np.sqrt(1.0 + abs(x) ** 2 / 2.0) + noise[0] + 1j * noise[1]


TEAMS = smpe, smpe_released, maa2c, ia2c, mappo, ippo, qmix, vdn
LINKS = link_feedback, link_gaussian, link_fading, link_black_box
RUNS = {run.__name__: run for run in (*TEAMS, *LINKS)}
"""By names that stay the same when what they train is renamed."""


def recorded(run: syntony.Run) -> Recorded:
    """Metrics, and digests of weights and states, of a run."""
    text = (run.path / "metrics.jsonl").read_text()
    lines = map(json.loads, text.splitlines())
    timeless = [{k: v for k, v in line.items() if k not in TIMES} for line in lines]
    with np.load(run.path / "model.npz") as model:
        arrays = [model[name] for name in model.files]
    return {
        "metrics": sorted(timeless, key=lambda line: (line["seed"], line["step"])),
        # Text in it is names, such as the channel's.
        "weights": sorted(digest(x) for x in arrays if x.dtype.kind != "U"),
        "state": {
            str(seed): sorted(map(digest, jax.tree.leaves(state)))
            for seed, state in run.states.items()
        },
    }


def digest(leaf: Any) -> str:
    """Returns the SHA-256 of an array's type, shape and bytes."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.ascontiguousarray(leaf)
    head = f"{array.dtype.str} {leaf.shape} ".encode()
    return hashlib.sha256(head + array.tobytes()).hexdigest()


def record(path: Path, names: list[str]) -> None:
    """Trains the runs of these names, as many at a time as there are cores."""
    print(f"recording {Path(syntony.__file__).parent}", flush=True)
    began = time.perf_counter()
    new, cores = multiprocessing.get_context("spawn"), os.cpu_count()
    with ProcessPoolExecutor(cores, mp_context=new, initializer=prepare) as pool:
        found = dict(zip(names, pool.map(trained, names), strict=True))
    path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    print(f"{len(names)} runs in {time.perf_counter() - began:.0f} s")


def prepare() -> None:
    """Tells JAX to compute on the CPU, and to compile in half the time."""
    haste = "backend_optimization_level=0", "llvm_disable_expensive_passes=true"
    os.environ["XLA_FLAGS"] = " ".join(f"--xla_{flag}" for flag in haste)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_compilation_cache", False)


def trained(name: str) -> Recorded:
    """Trains one run; returns what is compared of it."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = recorded(RUNS[name](Path(folder) / name))
    print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)
    return found


def compare(old: Path, new: Path) -> bool:
    """Prints how each run differs between two recordings; says whether none does."""
    before, after = (json.loads(path.read_text()) for path in (old, new))
    nothing: Recorded = {"metrics": [], "weights": [], "state": {}}
    alike = True
    for name in dict.fromkeys([*before, *after]):
        pair = (recording.get(name, nothing) for recording in (before, after))
        found = list(differences(*pair))
        alike &= not found
        rest = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
        shown = ["differs" if found else "equal", *found[:MOST], *rest]
        print(f"{name}: " + "\n  ".join(shown))
    return alike


def differences(old: Recorded, new: Recorded) -> Iterator[str]:
    """Yields in words what differs between two recordings of a run."""
    lines = [{renamed(name): x for name, x in line.items()} for line in old["metrics"]]
    for line, other in zip_longest(lines, new["metrics"], fillvalue={}):
        yield from differences_of_lines(line, other)
    yield from differences_of_digests("weights", old["weights"], new["weights"])
    for seed in dict.fromkeys([*old["state"], *new["state"]]):
        digests = (run["state"].get(seed, []) for run in (old, new))
        yield from differences_of_digests(f"state of seed {seed}", *digests)


def differences_of_lines(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Yields the metrics that differ between two lines, with their values."""
    where = "seed {seed}, step {step}".format(**old | new)
    for name in dict.fromkeys([*old, *new]):
        was, now = (line.get(name, "absent") for line in (old, new))
        if was != now:
            yield f"{where}: {name} was {was}, is {now}"


def differences_of_digests(what: str, old: list[str], new: list[str]) -> Iterator[str]:
    """Yields how many arrays of one recording are not in the other, if any."""
    gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    if gone or come:
        yield f"{what}: {gone.total()} of {len(old)} arrays gone, {come.total()} new"


def renamed(name: str) -> str:
    """Present name of an old metric."""
    for end in ("", "_low", "_high"):
        base = name.removesuffix(end)
        if name.endswith(end) and base in METRIC_NAMES:
            return METRIC_NAMES[base] + end
    return name


def main(arguments: list[str]) -> int:
    """Obeys the command line; returns its exit code, 1 if recordings differ."""
    match arguments:
        case ["record", path, *names] if set(names) <= RUNS.keys():
            record(Path(path), names or list(RUNS))
            return 0
        case ["compare", old, new]:
            return 0 if compare(Path(old), Path(new)) else 1
    print(__doc__, f"Runs: {', '.join(RUNS)}", sep="\n", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

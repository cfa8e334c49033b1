"""Memory that runs take, compared with what there is, before anything is allocated."""

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from toy_system import Toy

from syntony.errors import InvalidInputError
from syntony.presets.registry import PRESETS, preset
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.ppo import MAPPO
from syntony.systems.marl.value_decomposition import QMIX, QLearningConfig
from syntony.systems.system import System
from syntony.tasks.external.external_env import ShapeOnlyTask
from syntony.tasks.registry import task
from syntony.training import available_memory, memory
from syntony.training.devices import process_cpu_count
from syntony.training.loop import train
from syntony.training.memory import check_memory, format_bytes, needed_memory
from syntony.training.run_config import RunConfig

GIB = 2**30
LARGE = ShapeOnlyTask(
    id="large", num_agents=8, num_actions=5, obs_dim=1000, time_limit=200
)


def run_of(system: System, *, seeds: int = 1, eval_episodes: int = 100) -> RunConfig:
    return RunConfig(
        system=system, steps=1000, seeds=seeds, eval_episodes=eval_episodes
    )


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the memory that there is, in bytes."""

    def set_limit(num_bytes: float) -> None:
        monkeypatch.setattr(memory, "available_memory", lambda: int(num_bytes))

    return set_limit


def error_of(config: RunConfig) -> str:
    with pytest.raises(InvalidInputError) as error:
        check_memory(config)
    assert len(str(error.value)) < 250
    return str(error.value)


def test_every_seed_has_a_state_and_every_worker_one_more():
    """Three floats, a key of two words, a counter; two sums in two parts."""
    state = 3 * 4 + 2 * 4 + 4 + 2 * 2 * 4 + 4  # And the number of updates.
    workers = min(3, process_cpu_count())
    assert needed_memory(run_of(Toy(), seeds=3))[0] == state * (3 + workers)


def test_a_run_that_just_fits(limit: Callable[[float], None]):
    config = run_of(Toy())
    needed, _ = needed_memory(config)
    limit(needed)
    check_memory(config)
    limit(needed - 1)
    with pytest.raises(InvalidInputError, match="the run takes 88 bytes of memory"):
        check_memory(config)


def test_a_replay_buffer_of_32_gb(limit: Callable[[float], None]):
    """5,000 episodes of 201 times 8 observations of 1,000 numbers of 4 bytes."""
    limit(40e9)
    error = error_of(run_of(QMIX(task=LARGE)))
    assert "replay_buffer/episodes/obs of 32.2 GB (5,000 × 201 × 8 × 1,000)" in error
    assert error.endswith("try --buffer-size 2000 or --obs-dtype float16")
    limit(20e9)
    error = error_of(run_of(QMIX(task=LARGE)))
    assert error.endswith("available: 20.0 GB; try --buffer-size 1000")
    suggested = QLearningConfig(buffer_size=1000)
    check_memory(run_of(QMIX(task=LARGE, q_learning=suggested)))


def test_a_layer_of_128128(limit: Callable[[float], None]):
    limit(16e9)
    small = task("Foraging-2s-5x5-2p-1f-coop")
    wide = ActorCriticConfig(hidden=128_128)
    error = error_of(run_of(MAPPO(task=small, actor_critic=wide)))
    assert "(128,128 × 384,384); available: 16.0 GB; try --hidden " in error
    value = int(error.rpartition(" ")[2])
    assert 1000 < value < 10_000


def test_episodes_that_do_not_fit(limit: Callable[[float], None]):
    limit(1e9)
    many = ActorCriticConfig(num_envs=5000)
    error = error_of(run_of(MAPPO(task=LARGE, actor_critic=many)))
    assert "with the observations of episodes of 32.2 GB" in error
    assert "; try --num-envs " in error


def test_nothing_is_written(
    limit: Callable[[float], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    limit(1)
    with pytest.raises(InvalidInputError, match="available: 1 bytes"):
        train(Toy(), steps=10, out=tmp_path / "run")
    assert not [*tmp_path.iterdir()]
    assert capsys.readouterr() == ("", "")


def test_checkpoints_that_do_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Two of each seed, and one more while it is written; stored ones take no more."""
    usage = SimpleNamespace(total=1000, free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InvalidInputError, match="checkpoints take 220 bytes") as error:
        train(Toy(), steps=10, seeds=2, out=tmp_path / "new" / "run")
    assert "; free on the disk of " in str(error.value)
    assert not [*tmp_path.iterdir()]
    memory.check_disk(run_of(Toy(), seeds=2), tmp_path, num_stored=120)
    usage.total = 0
    memory.check_disk(run_of(Toy(), seeds=2), tmp_path, num_stored=0)


def test_programs_that_do_not_fit(
    monkeypatch: pytest.MonkeyPatch, limit: Callable[[float], None], tmp_path: Path
):
    """What a compiled program needs is known later; the folder is then free again."""
    limit(1e9)
    monkeypatch.setattr(memory, "program_bytes", lambda _: 2 * 10**9)
    with pytest.raises(InvalidInputError, match=r"takes 2.0 GB of memory, with a"):
        train(Toy(), steps=10, out=tmp_path / "run", quiet=True)
    monkeypatch.undo()
    train(Toy(size=2), steps=10, out=tmp_path / "run", quiet=True, eval_episodes=2)


def test_bytes_of_a_compiled_program():
    def double(x: jax.Array) -> jax.Array:
        return 2.0 * x

    program = jax.jit(double).lower(jax.ShapeDtypeStruct((1000,), "float32")).compile()
    assert memory.program_bytes(program) >= 8000
    assert memory.program_bytes(double) == 0


@pytest.mark.parametrize(
    ("num_bytes", "expected"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (32_160_000_000, "32.2 GB")],
)
def test_sizes(num_bytes: int, expected: str):
    assert format_bytes(num_bytes) == expected


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Writes the files of a machine's memory; nothing else limits it."""
    monkeypatch.setattr(available_memory, "ROOT", tmp_path)
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: infinite)

    def write(**texts: str) -> None:
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/").replace("memory_", "memory.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_memory_of_a_machine(files: Callable[..., None]):
    assert available_memory.available_memory() is None
    files(proc__meminfo="MemTotal: 9 kB\nMemAvailable: 4 kB\nSwapFree: 2 kB\nHuge: 0\n")
    assert available_memory.available_memory() == 6 * 1024


def test_memory_of_a_container(files: Callable[..., None]):
    """The group's limit, less what is used and cannot be given up; or one above."""
    files(
        proc__meminfo="MemAvailable: 1000 kB\n",
        proc__self__cgroup="0::/job/step\n",
        sys__fs__cgroup__job__memory_max="90000\n",
        sys__fs__cgroup__job__memory_current="50000\n",
        sys__fs__cgroup__job__memory_stat="anon 9\ninactive_file 10000\n",
        sys__fs__cgroup__job__step__memory_max="max\n",
    )
    assert available_memory.available_memory() == 50_000


def test_memory_of_a_container_of_version_1(files: Callable[..., None]):
    root = "sys__fs__cgroup__memory__memory_"
    files(
        proc__meminfo="MemAvailable: 1000 kB\n",
        proc__self__cgroup="3:cpu,memory:/\n2:pids:/x\n",
        **{f"{root}limit_in_bytes": "70000", f"{root}usage_in_bytes": "60000"},
    )
    assert available_memory.available_memory() == 10_000
    files(**{f"{root}limit_in_bytes": str(2**63 - 4096)})
    assert available_memory.available_memory() == 1000 * 1024


def test_limit_of_the_address_space(
    files: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    files(proc__meminfo="MemAvailable: 1000 kB\n", proc__self__statm="3 2 1\n")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (50_000, 50_000))
    expected = 50_000 - 3 * resource.getpagesize()
    assert available_memory.available_memory() == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_default_commands_fit_in_2_gb(name: str):
    default = next(iter(PRESETS[name]))
    team_task = task("Foraging-2s-8x8-3p-2f-coop")
    system = preset(name, default, None if name == "link" else team_task)
    assert needed_memory(run_of(system, seeds=5, eval_episodes=100))[0] < 2 * GIB

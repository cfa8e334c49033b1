"""Studies on a Ray cluster whose nodes are removed, or that shares no disk."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import syntony
from syntony.studies.ray_engine import pack, unpack
from syntony.studies.study_folder import StudyFolder

from .conftest import small_study, undisturbed_weights, weights

ray = pytest.importorskip("ray")
services = pytest.importorskip("ray._private.services")
pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files of its own open.
    pytest.mark.filterwarnings("ignore"),
]

NODES = 4
TRIALS = 40
REMOVE_SECONDS = 12.0
"""Mean time between a node that is there and the next removal."""
REMOVALS = 10
"""After so many the study is left alone: a start takes longer than that time."""
START_SECONDS = 300.0
"""Time that a node may take to start; Ray's own half minute is too short while trials
take all cores."""
PATIENCE = {
    # A node that is gone refuses the connection, which needs no time-out.
    "health_check_timeout_ms": "60000",
    "worker_register_timeout_seconds": "600",
    "agent_register_timeout_ms": "600000",
    "gcs_server_request_timeout_seconds": "300",
    "memory_monitor_refresh_ms": "0",
}
"""Settings of Ray by which nothing is lost but what the test removes."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without cores, and four nodes with one core each, on this machine."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    for name, value in PATIENCE.items():
        monkeypatch.setenv(f"RAY_{name}", value)
    monkeypatch.setattr(services, "get_node", patient(services.get_node))
    made = Cluster(
        initialize_head=True,
        # It would set handlers of signals, which only the main thread may.
        shutdown_at_exit=False,
        head_node_args={"num_cpus": 0, "object_store_memory": 80_000_000},
    )
    for _ in range(NODES):
        add_node(made)
    yield made
    ray.shutdown()
    made.shutdown()


def patient(get_node: Callable[..., Any]) -> Callable[..., Any]:
    """Ray's function that finds a node, but it waits until the node is there."""

    def wait_for_node(*arguments: object) -> object:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with suppress(RuntimeError):
                return get_node(*arguments)
            time.sleep(0.5)
        return get_node(*arguments)

    return wait_for_node


def add_node(cluster: Any) -> None:
    """Starts a node, and waits until the cluster has it."""
    cluster.add_node(wait=False, num_cpus=1, object_store_memory=80_000_000)


def remove_nodes(cluster: Any, done: threading.Event, removed: list[str]) -> None:
    """Kills random nodes, and adds another one for each, until there were enough."""
    generator = random.Random(0)
    while len(removed) < REMOVALS:
        if done.wait(generator.uniform(0.5, 1.5) * REMOVE_SECONDS):
            return
        nodes = sorted(cluster.worker_nodes, key=lambda node: node.node_id)
        chosen = generator.choice(nodes)
        cluster.remove_node(chosen, allow_graceful=False)
        removed.append(chosen.node_id)
        add_node(cluster)


def test_no_trial_is_lost_with_the_nodes(cluster: Any):
    study, done, removed = small_study(TRIALS), threading.Event(), list[str]()
    remover = threading.Thread(target=remove_nodes, args=(cluster, done, removed))
    remover.start()
    try:
        status = syntony.sweep(
            study, out="study", engine="ray", address=cluster.address
        )
    finally:
        done.set()
        remover.join()
    records = StudyFolder(Path("study")).records().values()
    interruptions = sum(record.interruptions for record in records)
    print(f"{len(removed)} nodes removed, {interruptions} trials interrupted")
    assert (status.cells[0].done, status.cells[0].failed) == (TRIALS, 0)
    assert len(removed) >= NODES
    assert interruptions
    assert weights(Path("study")) == undisturbed_weights(study)


def test_results_come_back_without_a_shared_disk(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
):
    from syntony.studies import ray_engine

    # The nodes look for another file than the one that this process writes.
    monkeypatch.setattr(ray_engine, "TOKEN_FILE", "elsewhere")
    study = small_study(2)
    status = syntony.sweep(study, out="study", engine="ray", address=cluster.address)
    assert status.cells[0].done == 2
    assert weights(Path("study")) == undisturbed_weights(study)


def test_archives(tmp_path: Path):
    (tmp_path / "a" / "checkpoints").mkdir(parents=True)
    (tmp_path / "a" / "checkpoints" / "x.npz").write_bytes(b"123")
    unpack(pack(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "b" / "checkpoints" / "x.npz").read_bytes() == b"123"
    unpack(pack(tmp_path / "missing"), tmp_path / "c")

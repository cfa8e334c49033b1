"""Studies on a Ray cluster whose nodes are removed, or that shares no disk."""

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import syntony
from syntony.studies.ray_engine import pack, unpack
from syntony.studies.study_folder import StudyFolder

from .conftest import small_study, undisturbed_weights, weights

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files of its own open.
    pytest.mark.filterwarnings("ignore"),
]

NODES = 4
TRIALS = 40
REMOVE_SECONDS = 12.0
"""Mean time between two removals of a node."""
REMOVALS = 10
"""After so many the study is left alone: a start takes longer than that time."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without cores, and four nodes with one core each, on this machine."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": 80_000_000},
    )
    for _ in range(NODES):
        add_node(made)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


def add_node(cluster: Any) -> None:
    cluster.add_node(wait=False, num_cpus=1, object_store_memory=80_000_000)


def remove_nodes(cluster: Any, done: threading.Event, removed: list[int]) -> None:
    """Kills random nodes, and adds others, until there were enough."""
    generator = random.Random(0)
    while len(removed) < REMOVALS:
        if done.wait(generator.uniform(0.5, 1.5) * REMOVE_SECONDS):
            return
        nodes = [*cluster.worker_nodes]
        if len(nodes) > 1:
            cluster.remove_node(generator.choice(nodes), allow_graceful=False)
            removed.append(1)
        # Ray gives a node up that starts too slowly, as on a busy machine.
        with suppress(Exception):
            add_node(cluster)


def test_no_trial_is_lost_with_the_nodes(cluster: Any):
    study, done, removed = small_study(TRIALS), threading.Event(), list[int]()
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
    assert removed
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

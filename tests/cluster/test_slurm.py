"""Studies on SLURM whose jobs are preempted, signalled and killed."""

import random
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

import syntony
from syntony.studies.study_folder import StudyFolder

from .conftest import small_study, undisturbed_weights, weights

pytest.importorskip("submitit")
if shutil.which("squeue") is None:
    pytest.skip("there is no SLURM", allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TRIALS = 20
DISTURB_SECONDS = 12.0
"""Mean time between two jobs that are preempted or killed."""
DISTURBANCES = 9
"""After so many the study is left alone: a start takes longer than that time."""
HIGH_PARTITION = "high"
"""Partition whose jobs preempt those of the default one, where there is such a one."""


def call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout


def running_jobs() -> list[str]:
    command = ["squeue", "--noheader", "--array", "--format=%i", "--states=R"]
    return call(*command, "--name=syntony").split()


def disturb(done: threading.Event, log: list[str]) -> None:
    """Ends random jobs in every way that a cluster does, until
    there were enough or the study is done."""
    generator = random.Random(0)
    partitions = call("sinfo", "--noheader", "--format=%R").split()
    ways = ["TERM", "KILL"]
    ways += ["preempt"] if HIGH_PARTITION in partitions else []
    while len(log) < DISTURBANCES:
        if done.wait(generator.uniform(0.5, 1.5) * DISTURB_SECONDS):
            return
        way = ways[len(log) % len(ways)]
        if not (jobs := running_jobs()):
            continue
        if way == "preempt":
            command = ["srun", "--partition", HIGH_PARTITION, "--exclusive", "true"]
        else:
            command = ["scancel", f"--signal={way}", generator.choice(jobs)]
        call(*command)
        log.append(way)


def test_no_trial_is_lost_with_the_jobs():
    study, done, log = small_study(TRIALS), threading.Event(), list[str]()
    thread = threading.Thread(target=disturb, args=(done, log))
    thread.start()
    try:
        status = syntony.sweep(study, out="study", engine="slurm", workers=4)
    finally:
        done.set()
        thread.join()
    records = StudyFolder(Path("study")).records().values()
    interruptions = sum(record.interruptions for record in records)
    print(f"{len(log)} jobs ended early ({log}), {interruptions} trials interrupted")
    assert (status.cells[0].done, status.cells[0].failed) == (TRIALS, 0)
    assert interruptions
    assert weights(Path("study")) == undisturbed_weights(study)

"""Devices and compiler options: one worker per GPU, or per CPU core."""

import hashlib
import os
import platform
import stat
import warnings
from pathlib import Path

import jax
from jax.sharding import SingleDeviceSharding as DeviceSharding


def worker_devices(num_seeds: int) -> list[DeviceSharding]:
    """Device of each worker: one worker per GPU, or per CPU core; at most `num_seeds`.

    Each seed runs as a separate program, on one worker at a time. All CPU cores share
    one device: host threads run its programs in parallel as fast as separate devices
    would, and each program is compiled once instead of once per device.
    """
    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        devices = devices[:1] * process_cpu_count()
    return [DeviceSharding(device) for device in devices[:num_seeds]]


def describe_devices(num_seeds: int) -> str:
    """Devices of the workers of a run, e.g. `cpu (2 cores)` or `2 x NVIDIA H200`.

    Args:
        num_seeds: seeds that are trained.
    """
    used = {worker.device_set.copy().pop() for worker in worker_devices(num_seeds)}
    first = min(used, key=lambda device: device.id)
    if first.platform == "cpu":
        return f"cpu ({process_cpu_count()} cores)"
    return f"{len(used)} x {first.device_kind}"


def process_cpu_count() -> int:
    """Number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compiler_options() -> dict[str, str | bool]:
    """XLA options for programs that run for a long time.

    On a CPU, distributing small matrix products over threads costs more than it saves:
    without it one seed alone was 1.5 times as fast, two in parallel 3.6 times.
    """
    return {"xla_cpu_multi_thread_eigen": False} if _is_cpu_backend() else {}


def fast_compile_options() -> dict[str, str | bool]:
    """XLA options for programs that run once: on a CPU without optimization."""
    return compiler_options() | (
        {"xla_backend_optimization_level": "0"} if _is_cpu_backend() else {}
    )


def enable_compilation_cache() -> None:
    """Enables JAX's compilation cache; a repeated run then compiles ten times as fast.

    The cache is `~/.cache/syntony` (or `$XDG_CACHE_HOME/syntony`), with one folder per
    processor type. A cache folder that was set in JAX before is kept.
    """
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "syntony" / f"programs-{_cpu_fingerprint()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        for private in (folder.parent, folder):
            private.mkdir(mode=0o700, exist_ok=True)
            if not _is_private(private):
                # Compiled programs are loaded unchecked: whoever writes one, runs it.
                warnings.warn(
                    f"{private} can be written by others; programs are not cached "
                    f"(to cache them: chmod 700 {private})",
                    stacklevel=2,
                )
                return
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _is_private(folder: Path) -> bool:
    """Whether a folder is this user's, and nobody else can write to it."""
    status = folder.lstat()
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not shared


def _cpu_fingerprint() -> str:
    """Hash of the processor's instruction set: compiled programs depend on it."""
    lines = cpu_info_lines()
    features = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    processor = platform.machine() + "".join(features)
    return hashlib.sha256(processor.encode()).hexdigest()[:12]


def cpu_info_lines() -> list[str]:
    """Lines of `/proc/cpuinfo`; empty where there is none."""
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def _is_cpu_backend() -> bool:
    return jax.default_backend() == "cpu"

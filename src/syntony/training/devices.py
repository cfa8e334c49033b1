"""Where seeds run: as many side by side as the machine has processors for."""

import hashlib
import os
import platform
from pathlib import Path

import jax
from jax.sharding import SingleDeviceSharding as DeviceSharding


def worker_devices(num_seeds: int) -> list[DeviceSharding]:
    """Returns the place of each worker: one for each GPU, or each core of the CPU.

    A seed is a program of its own and runs on one worker at a time. The cores are
    workers of one device: two host threads run its programs side by side as fast as
    two devices would, and each program is compiled once instead of once a device.
    """
    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        devices = devices[:1] * process_cpu_count()
    return [DeviceSharding(device) for device in devices[:num_seeds]]


def process_cpu_count() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compiler_options() -> dict[str, str | bool]:
    """Returns how to compile what runs for hours.

    On a CPU small matrix products cost more to share between threads than to do: one
    seed alone became 1.5 times as fast without, two side by side 3.6 times.
    """
    return {"xla_cpu_multi_thread_eigen": False} if _is_cpu_backend() else {}


def fast_compile_options() -> dict[str, str | bool]:
    """Returns how to compile what runs once: it is not worth optimising."""
    return compiler_options() | (
        {"xla_backend_optimization_level": "0"} if _is_cpu_backend() else {}
    )


def enable_compilation_cache() -> None:
    """Keeps compiled programs on disk: the same run compiles in a tenth of the time.

    They lie in `~/.cache/syntony`, apart for each kind of processor, unless JAX was
    told of another place.
    """
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "syntony" / f"programs-{_cpu_fingerprint()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _cpu_fingerprint() -> str:
    """Returns a name for what this processor can do: programs are compiled for that."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    abilities = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    kind = platform.machine() + "".join(abilities)
    return hashlib.sha256(kind.encode()).hexdigest()[:12]


def _is_cpu_backend() -> bool:
    return jax.default_backend() == "cpu"

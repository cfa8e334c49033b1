"""Memory that this process may still take: of the machine, its limits, or the GPU."""

import resource
from collections.abc import Iterator
from pathlib import Path

import jax

ROOT = Path("/")
"""Of the files in which Linux tells its memory; of others in tests."""
UNLIMITED = 2**60
"""Bytes from which a limit is none."""


def available_memory() -> int | None:
    """Bytes that programs may still allocate on a device; None if unknown.

    On a CPU the least of: the memory that the machine has free or can free, with its
    swap space; what is left of the limit of the container; and of `ulimit -v`.
    """
    if jax.default_backend() != "cpu":
        return _device_memory()
    return min(
        (*_machine_memory(), *_container_memory(), *_address_space()), default=None
    )


def _device_memory() -> int | None:
    """Least free memory of a local device."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    if not all({"bytes_limit", "bytes_in_use"} <= x.keys() for x in stats):
        return None
    return min(x["bytes_limit"] - x["bytes_in_use"] for x in stats)


def _machine_memory() -> Iterator[int]:
    fields = {}
    for line in _read(ROOT / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if value.split()[1:] == ["kB"]:
            fields[name] = int(value.split()[0]) * 1024
    if "MemAvailable" in fields:
        yield fields["MemAvailable"] + fields.get("SwapFree", 0)


def _container_memory() -> Iterator[int]:
    """Yields what is left of the limits of control groups, version 2 and version 1."""
    for limit, usage, stat in _control_group_files():
        most, used = _read(limit).strip(), _read(usage).strip()
        if most.isdecimal() and used.isdecimal() and int(most) < UNLIMITED:
            yield int(most) - int(used) + _reclaimable(_read(stat))


def _control_group_files() -> Iterator[tuple[Path, Path, Path]]:
    """Yields the files with limit, usage and statistics of the groups of the process.

    The limits of all groups above hold as well.
    """
    base = ROOT / "sys/fs/cgroup"
    for line in _read(ROOT / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        is_v1 = "memory" in controllers.split(",")
        if controllers and not is_v1:
            continue
        root = base / "memory" if is_v1 else base
        prefix = "memory.limit_in_bytes" if is_v1 else "memory.max"
        usage = "memory.usage_in_bytes" if is_v1 else "memory.current"
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                yield folder / prefix, folder / usage, folder / "memory.stat"


def _reclaimable(stat: str) -> int:
    """Bytes of files in memory that the kernel gives up where memory is short."""
    names = ("inactive_file", "active_file", "total_inactive_file", "total_active_file")
    fields = dict(line.split(maxsplit=1) for line in stat.splitlines() if " " in line)
    values = {name: int(fields[name]) for name in names if name in fields}
    # Version 1 has both: of this group, and with those below it.
    total = sum(value for name, value in values.items() if name.startswith("total"))
    return total or sum(values.values())


def _address_space() -> Iterator[int]:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _read(ROOT / "proc/self/statm").split()[:1]
    if soft != resource.RLIM_INFINITY and pages:
        yield soft - int(pages[0]) * resource.getpagesize()


def _read(path: Path) -> str:
    """Text of a file; empty where there is none."""
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""

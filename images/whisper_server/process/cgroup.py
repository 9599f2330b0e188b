"""The container's CPU and memory limits, from its control group (cgroup v1 or v2)."""

import os
from pathlib import Path, PurePosixPath

_MOUNT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_MACHINE = Path("/proc/meminfo")


def cpu_threads(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> int:
    """Number of threads that can run in parallel: the affinity mask, or the CPU quota if that is smaller; at least 1.

    A quota of 1.5 CPUs gives 1: a second thread would be throttled, and the first would wait for it.
    """
    folders = _folders(mount, membership, "cpu")
    quotas = [quota for folder in folders if (quota := _quota(folder)) is not None]
    return max(1, int(min([len(os.sched_getaffinity(0)), *quotas])))


def memory_bytes(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> int:
    """Memory limit of this process and those that share it: the smallest one that applies, or the machine's memory."""
    folders = _folders(mount, membership, "memory")
    limits = [limit for folder in folders if (limit := _memory_limit(folder)) is not None]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits])


def memory_share(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP, machine: Path = _MACHINE) -> float:
    """Used share of the memory limit, without the page cache.

    The highest share if several limits apply; that of the machine's memory if there is none.
    """
    shares = [
        held / limit
        for folder in _folders(mount, membership, "memory")
        if (limit := _memory_limit(folder)) is not None and (held := _held(folder)) is not None
    ]
    return max(shares, default=0.0) or _machine_share(machine)


def _held(folder: Path) -> int | None:
    """Bytes that the processes of a group use: memory.stat (cgroups-v2: `anon`, `shmem`; v1: `total_rss`)."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except FileNotFoundError:
        return None
    stat = {name: int(value) for name, value in (line.split() for line in lines)}
    return stat["total_rss"] if "total_rss" in stat else stat["anon"] + stat.get("shmem", 0)


def _machine_share(machine: Path) -> float:
    sizes = dict(line.split(":") for line in machine.read_text().splitlines())
    total, available = (int(sizes[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return 1 - available / total


def _folders(mount: Path, membership: Path, controller: str) -> list[Path]:
    """Folders whose limits apply to this process: its group's and, as limits are inherited, those above it.

    Lines of /proc/self/cgroup are `id:controllers:path` (cgroups(7)); v2 has one, with no controllers. Without a
    cgroup namespace the path is the host's and does not exist under a container's mount: the mount itself is the group.
    """
    folders: list[Path] = []
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root = mount
        elif controller in controllers.split(","):
            root = mount / controller
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        folders += [root / group, *(root / parent for parent in group.parents)]
    return folders


def _quota(folder: Path) -> float | None:
    """CPUs that a group may use, None without a limit."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()  # v2
    except FileNotFoundError:
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()  # v1
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except FileNotFoundError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)


def _memory_limit(folder: Path) -> int | None:
    """Bytes that a group may use, None without a limit."""
    for name in ("memory.max", "memory.limit_in_bytes"):  # v2, v1
        try:
            limit = (folder / name).read_text().strip()
        except FileNotFoundError:
            continue
        return None if limit == "max" else int(limit)
    return None

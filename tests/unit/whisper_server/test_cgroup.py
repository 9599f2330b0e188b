import os
from pathlib import Path

import pytest

from whisper_server.process import cgroup

CORES = len(os.sched_getaffinity(0))


def group(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


def threads(tmp_path: Path, membership: str) -> int:
    (tmp_path / "membership").write_text(membership)
    return cgroup.cpu_threads(tmp_path / "mount", tmp_path / "membership")


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 4), ("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("900000 100000", 4)],
)
def test_v2(tmp_path: Path, quota: str, expected: int) -> None:
    group(tmp_path / "mount", {"cpu.max": quota})
    assert threads(tmp_path, "0::/\n") == expected


def test_v2_limit_of_a_group_above(tmp_path: Path) -> None:
    group(tmp_path / "mount" / "slice", {"cpu.max": "200000 100000"})
    group(tmp_path / "mount" / "slice" / "unit", {"cpu.max": "max 100000"})
    assert threads(tmp_path, "0::/slice/unit\n") == 2


@pytest.mark.parametrize(("quota", "expected"), [("-1", 4), ("300000", 3), ("50000", 1)])
def test_v1(tmp_path: Path, quota: str, expected: int) -> None:
    group(tmp_path / "mount" / "cpu", {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": "100000"})
    membership = "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
    assert threads(tmp_path, membership) == expected


def test_no_limit_anywhere(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    assert threads(tmp_path, "0::/\n") == 4


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 <= cgroup.cpu_threads() <= CORES


def memory(tmp_path: Path, membership: str) -> int:
    (tmp_path / "membership").write_text(membership)
    return cgroup.memory_bytes(tmp_path / "mount", tmp_path / "membership")


def test_memory_limits(tmp_path: Path) -> None:
    group(tmp_path / "mount" / "a", {"memory.max": "2147483648"})
    group(tmp_path / "mount" / "a" / "b", {"memory.max": "max"})
    assert memory(tmp_path, "0::/a/b\n") == 2**31
    group(tmp_path / "mount" / "memory" / "old", {"memory.limit_in_bytes": "1000000"})
    assert memory(tmp_path, "4:memory:/old\n2:cpu,cpuacct:/old\n") == 1_000_000


def test_without_a_limit_memory_is_the_machine_s(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    assert 2**28 < memory(tmp_path, "0::/\n") < 2**45
    group(tmp_path / "mount", {"memory.max": str(2**60)})
    assert memory(tmp_path, "0::/\n") < 2**45


def memory_share(tmp_path: Path, membership: str) -> float:
    (tmp_path / "membership").write_text(membership)
    (tmp_path / "meminfo").write_text("MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  250 kB\n")
    return cgroup.memory_share(tmp_path / "mount", tmp_path / "membership", tmp_path / "meminfo")


def test_memory_that_is_held_v2(tmp_path: Path) -> None:
    """Files that the kernel keeps in memory are not."""
    group(tmp_path / "mount", {"memory.max": "2000", "memory.stat": "anon 1500\nfile 450\nshmem 100\nslab 9"})
    assert memory_share(tmp_path, "0::/\n") == 0.8


def test_memory_that_is_held_v1(tmp_path: Path) -> None:
    files = {"memory.limit_in_bytes": "2000", "memory.stat": "cache 450\nrss 1\ntotal_rss 1500"}
    group(tmp_path / "mount/memory/docker/abc", files)
    assert memory_share(tmp_path, "4:memory:/docker/abc\n") == 0.75


def test_memory_of_the_nearest_of_several_limits(tmp_path: Path) -> None:
    group(tmp_path / "mount/slice", {"memory.max": "4000", "memory.stat": "anon 3600"})
    group(tmp_path / "mount/slice/unit", {"memory.max": "2000", "memory.stat": "anon 1000"})
    assert memory_share(tmp_path, "0::/slice/unit\n") == 0.9


def test_memory_of_the_machine_where_there_is_no_limit(tmp_path: Path) -> None:
    group(tmp_path / "mount", {"memory.max": "max", "memory.stat": "anon 3600"})
    assert memory_share(tmp_path, "0::/\n") == 0.75


def test_memory_of_this_process() -> None:
    assert 0 < cgroup.memory_share() < 1

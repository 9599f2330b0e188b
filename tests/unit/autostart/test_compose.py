"""The `docker compose` command, with a shell script in its place that writes down how it was called."""

import asyncio
from pathlib import Path

import pytest

from docker_autostart import compose
from docker_autostart.compose import ComposeError, DockerCompose
from tests.unit.autostart.fake_stack import settings


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script; what it does after it wrote down its arguments is appended by the tests."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    script = tmp_path / "docker"
    script.write_text(f'#!/bin/sh\npwd > {tmp_path}/calls\nprintf "%s\\n" "$@" >> {tmp_path}/calls\n')
    script.chmod(0o755)
    return script


def calls(docker: Path) -> list[str]:
    return (docker.parent / "calls").read_text().splitlines()


async def test_no_shell_reads_what_the_configuration_says(docker: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a $(touch oops); b"
    folder.mkdir()
    await DockerCompose().up(settings(composeDir=str(folder), composeFile="x.yml"))
    file = f"{folder}/x.yml"
    assert calls(docker) == [
        str(folder),
        *("compose", "--ansi", "never", "--file", file, "up", "--detach", "--no-build", "--no-recreate"),
    ]
    assert not (tmp_path / "oops").exists()


async def test_compose_finds_its_file_itself_where_none_is_named(docker: Path, tmp_path: Path) -> None:
    await DockerCompose().stop(settings(composeDir=str(tmp_path)))
    assert calls(docker) == [str(tmp_path), "compose", "--ansi", "never", "stop", "--timeout", "30"]


async def test_names_containers_as_compose_does(docker: Path, tmp_path: Path) -> None:
    with docker.open("a") as script:
        script.write('echo \'{"name": "p", "services": {"a": {"container_name": "aa"}, "b": {}}}\'\n')
    assert await DockerCompose().container_names(settings(composeDir=str(tmp_path))) == {"aa", "p-b-1"}


async def test_a_failure_is_its_last_line(docker: Path, tmp_path: Path) -> None:
    with docker.open("a") as script:
        script.write("echo first >&2; echo last >&2; exit 17\n")
    with pytest.raises(ComposeError, match=r"^docker compose up ended with 17: last$"):
        await DockerCompose().up(settings(composeDir=str(tmp_path)))


async def test_a_command_that_hangs_is_ended_with_its_children(
    docker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "COMMAND_TIMEOUT", 0.3)
    with docker.open("a") as script:
        script.write(f"sleep 60 & echo $! > {tmp_path}/child; wait\n")
    with pytest.raises(ComposeError, match=r"did not end within 0\.3 s"):
        await DockerCompose().up(settings(composeDir=str(tmp_path)))
    await asyncio.sleep(0.1)
    child = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    assert not child.exists() or child.read_text().split()[2] == "Z"


async def test_a_missing_command_or_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ComposeError, match="No such file"):
        await DockerCompose().up(settings(composeDir=str(tmp_path)))

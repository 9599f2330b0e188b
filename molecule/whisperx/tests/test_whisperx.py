"""WhisperX as its users call it, and what the host shows of its token.

The tests run in this order, on one host; those that deploy again come last.
"""

import json
import os
import re
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from openai import DefaultHttpxClient, OpenAI
from testinfra.host import Host

ROOT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
NAME = "whisperx.whisperx.localhost"
URL = f"https://{NAME}:38443"
USER = ("molecule", "molecule-password")
KEY = "molecule-key-0123456789abcdef0123456789"
AUTHORITY = str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.pem")
CONVERSATION = ROOT / ".cache/speech/pyannote/sample.wav"
TOKEN = "hf_moleculemoleculemoleculemoleculemol"
ANOTHER_TOKEN = "hf_anothertokenanothertokenanothertoken"
IDLE_TIMEOUT = 20.0


def transcribe(**form: str) -> requests.Response:
    """The client of the guide, with the credentials that it needs."""
    with CONVERSATION.open("rb") as f:
        return requests.post(
            f"{URL}/transcribe", files={"file": f}, data=form, auth=USER, verify=AUTHORITY, timeout=600
        )


def status(host: Host) -> dict[str, Any]:
    """What the daemon says of the service."""
    (service,) = json.loads(host.check_output("docker-autostart status --json"))["services"]
    return dict(service)


def container(host: Host) -> dict[str, Any]:
    """The container, as the engine describes it."""
    return dict(json.loads(host.check_output("docker container inspect whisperx"))[0])


def deploy(tmp_path: Path, variables: Mapping[str, Any], *options: str) -> str:
    """Deploy the service again with other variables and return what Ansible printed."""
    file = tmp_path / "variables.json"
    file.write_text(json.dumps(variables))
    command = ["ansible-playbook", "site.yml", "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--tags", "whisperx"]
    done = subprocess.run(
        [*command, "--extra-vars", f"@{file}", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def held_awake(host: Host) -> Iterator[None]:
    """The service runs, and goes on running for as long as the test does."""
    assert requests.get(f"{URL}/v1/models", auth=USER, verify=AUTHORITY, timeout=60).status_code == 200
    host.check_output("docker-autostart hold whisperx")
    yield
    host.check_output("docker-autostart release whisperx")


def test_the_first_request_wakes_it_and_is_told_who_speaks(host: Host) -> None:
    host.check_output("docker-autostart stop whisperx")
    assert not container(host)["State"]["Running"]
    answer = transcribe(model="base", language="en", diarize="true")
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Autostart"] == "cold"
    transcript = answer.json()
    assert transcript["language"] == "en"
    assert "originally from chicago" in " ".join(segment["text"] for segment in transcript["segments"]).lower()
    for segment in transcript["segments"]:
        assert segment["start"] < segment["end"] <= 30.1
        assert re.fullmatch(r"SPEAKER_\d\d|UNKNOWN", segment["speaker"])
    speakers = {segment["speaker"] for segment in transcript["segments"]} - {"UNKNOWN"}
    assert len(speakers) == 2
    # Diane and Sheila introduce themselves one after the other.
    diane = next(segment for segment in transcript["segments"] if "New Jersey" in segment["text"])
    sheila = next(segment for segment in transcript["segments"] if "Texas" in segment["text"])
    assert diane["speaker"] != sheila["speaker"]


def test_without_diarization_segments_have_no_speaker() -> None:
    transcript = transcribe(model="base", language="en").json()
    assert {"start", "end", "text"} <= transcript["segments"][0].keys()
    assert not any("speaker" in segment for segment in transcript["segments"])


def test_the_openai_client_works_here_too() -> None:
    with (
        CONVERSATION.open("rb") as f,
        OpenAI(
            base_url=f"{URL}/v1",
            api_key=KEY,
            max_retries=0,
            http_client=DefaultHttpxClient(verify=ssl.create_default_context(cafile=AUTHORITY), timeout=120),
        ) as client,
    ):
        text = client.audio.transcriptions.create(model="base", file=f, language="en").text
    assert "originally from chicago" in text.lower()


def test_strangers_do_not_come_in() -> None:
    with CONVERSATION.open("rb") as f:
        answer = requests.post(f"{URL}/transcribe", files={"file": f}, verify=AUTHORITY, timeout=30)
    assert answer.status_code == 401


def test_it_listens_on_the_loopback_only(host: Host) -> None:
    assert requests.get(f"{URL}/health", auth=USER, verify=AUTHORITY, timeout=30).status_code == 200
    listeners = host.check_output("ss --no-header --listening --tcp --numeric 'sport = :8002'").splitlines()
    assert [line.split()[3] for line in listeners] == ["127.0.0.1:8002"]


@pytest.mark.usefixtures("held_awake")
def test_the_container_can_do_no_more_than_it_must(host: Host) -> None:
    limits = container(host)["HostConfig"]
    assert limits["ReadonlyRootfs"]
    assert limits["CapDrop"] == ["ALL"]
    assert limits["SecurityOpt"] == ["no-new-privileges:true"]
    assert limits["RestartPolicy"]["Name"] == "no"
    assert limits["Memory"] == 2 * 1024**3
    assert host.check_output("docker exec whisperx id -u") == "10001"


def test_the_image_holds_no_cuda_and_fits_a_small_disk(host: Host) -> None:
    image = container(host)["Config"]["Image"]
    assert re.fullmatch(r"whisperx:[0-9a-f]{12}", image)
    assert int(host.check_output("docker image inspect --format '{{.Size}}' %s", image)) < 2_100_000_000
    found = host.check_output(r"docker run --rm --user 0 --entrypoint find %s / -xdev -name 'lib*.so*'", image)
    names = {Path(path).name for path in found.splitlines()}
    assert any(name.startswith("libtorch_cpu") for name in names)
    assert [name for name in names if name.startswith(("libcu", "libnv"))] == []


def test_the_folder_is_the_one_of_the_guide_and_compose_reads_it(host: Host) -> None:
    for name in ("docker-compose.yml", "Dockerfile", "server.py", ".env"):
        assert host.file(f"/opt/whisperx/{name}").is_file
    names = host.check_output("docker compose --project-directory /opt/whisperx ps --format '{{.Name}} {{.Service}}'")
    assert names == "whisperx whisperx"


@pytest.mark.usefixtures("held_awake")
def test_the_token_is_a_file_for_root_and_one_for_the_server(host: Host) -> None:
    people = host.file("/opt/whisperx/.env")
    assert (people.user, people.mode) == ("root", 0o600)
    assert f"HF_TOKEN={TOKEN}\n" in people.content_string
    server = host.file("/opt/whisperx/secrets/hf_token")
    assert (server.user, server.gid, server.mode) == ("root", 10001, 0o640)
    assert host.file("/opt/whisperx/secrets").mode == 0o750
    assert host.check_output("docker exec whisperx cat /run/secrets/hf_token") == TOKEN


@pytest.mark.usefixtures("held_awake")
def test_the_token_shows_nowhere_else(host: Host) -> None:
    image = container(host)["Image"]
    pid = container(host)["State"]["Pid"]
    shown = {
        "docker inspect": host.check_output("docker container inspect whisperx"),
        "docker image inspect": host.check_output("docker image inspect %s", image),
        "docker history": host.check_output("docker history --no-trunc %s", image),
        "docker compose config": host.check_output("docker compose --project-directory /opt/whisperx config"),
        "environment of the process": host.check_output("tr '\\0' '\\n' < /proc/%s/environ", str(pid)),
        "processes": host.check_output("ps -eo args"),
        "log of the container": host.check_output("docker logs whisperx 2>&1"),
        "journal": host.check_output("journalctl --boot --output cat"),
        "log of nginx": host.check_output("cat /var/log/nginx/whisper-services.log"),
    }
    assert "HF_TOKEN_PATH=/run/secrets/hf_token" in shown["environment of the process"]
    assert [where for where, text in shown.items() if TOKEN in text] == []
    search = host.run("docker run --rm --user 0 --entrypoint grep %s -rlF %s /app /root /tmp /home", image, TOKEN)
    assert (search.rc, search.stdout) == (1, ""), "the build context is the folder with the token"


def test_an_idle_service_is_stopped(host: Host) -> None:
    assert requests.get(f"{URL}/v1/models", auth=USER, verify=AUTHORITY, timeout=60).status_code == 200
    start = time.monotonic()
    while status(host)["state"] != "stopped":
        assert time.monotonic() - start < IDLE_TIMEOUT + 10
        time.sleep(0.5)
    assert time.monotonic() - start > IDLE_TIMEOUT - 1
    assert not container(host)["State"]["Running"]


@pytest.mark.usefixtures("held_awake")
def test_another_token_reaches_the_server_and_is_not_printed(host: Host, tmp_path: Path) -> None:
    began = container(host)["State"]["StartedAt"]
    printed = deploy(tmp_path, {"whisperx_hf_token": ANOTHER_TOKEN}, "-vvv", "--diff")
    assert "/opt/whisperx/secrets/hf_token" in printed
    assert ANOTHER_TOKEN not in printed
    assert TOKEN not in printed
    assert host.check_output("docker exec whisperx cat /run/secrets/hf_token") == ANOTHER_TOKEN
    assert container(host)["State"]["StartedAt"] == began


@pytest.fixture
def without_a_token(tmp_path: Path) -> str:
    """Deploys what a host gets whose owner has no token: all but diarization."""
    variables = {"whisperx_hf_token": "", "whisperx_models_folder": "", "whisperx_environment": {}}
    return deploy(tmp_path, variables | {"whisperx_diarize_model": "pyannote/speaker-diarization-community-1"})


def test_without_a_token_all_but_diarization_works(host: Host, without_a_token: str) -> None:
    assert f"WARNING: {host.backend.get_hostname()} gets WhisperX without diarization" in without_a_token
    assert not host.file("/opt/whisperx/.env").exists
    assert not host.file("/opt/whisperx/secrets/hf_token").exists
    refused = transcribe(model="base", language="en", diarize="true")
    assert refused.status_code == 503, refused.text
    assert refused.json()["error"]["code"] == "diarization_unavailable"
    assert transcribe(model="base", language="en").status_code == 200

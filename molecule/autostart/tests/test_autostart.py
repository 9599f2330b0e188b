"""A service that sleeps until it is asked for, seen through the public endpoint and on the host.

The tests run in this order, on one host; each brings the service into the state that it begins with.
"""

import http.client
import json
import os
import re
import ssl
import subprocess
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from testinfra.host import Host

SERVER = "whisper-autostart"
NAME = "whisper.autostart.localhost"
PORT = 28443
URL = f"https://{NAME}:{PORT}"
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}
AUTHORITY = str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.pem")
SPEECH = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".cache/speech"
CLIP = SPEECH / "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
LONG = SPEECH / "silero/aepyx.wav"
REQUEST_REPEATED, JOB_REPEATED = 10, 10
"""How often the 169 s: they take two free cores 3 s at the least, 20 s when other work keeps them busy."""
IDLE_TIMEOUT = 20.0
UPLOAD = 300_000_000


def get(path: str = "/v1/models", **headers: str) -> requests.Response:
    return requests.get(URL + path, headers=KEY | headers, verify=AUTHORITY, timeout=120)


def transcribe(recording: Path, **headers: str) -> requests.Response:
    with recording.open("rb") as file:
        return requests.post(
            f"{URL}/v1/audio/transcriptions",
            headers=KEY | headers,
            files={"file": file},
            data={"model": "whisper-1", "language": "en"},
            verify=AUTHORITY,
            timeout=600,
        )


def status(host: Host) -> dict[str, Any]:
    """What the daemon says of the service."""
    service: dict[str, Any] = json.loads(host.check_output("docker-autostart status --json"))["services"][0]
    return service


def container(host: Host) -> dict[str, Any]:
    """State of the container, as the engine says."""
    state: dict[str, Any] = json.loads(host.check_output("docker container inspect faster-whisper"))[0]["State"]
    return state


def starts(host: Host) -> int:
    """How often the daemon started the service since the host's boot."""
    journal = host.check_output("journalctl --boot --unit docker-autostart --output cat")
    return len(re.findall(rf"^{re.escape(NAME)}: starting, ", journal, re.MULTILINE))


def jobs_and_requests(host: Host) -> int:
    """What the container has to do, asked past the daemon."""
    busy: int = json.loads(host.check_output("curl --silent --fail http://127.0.0.1:8001/busy"))["busy"]
    return busy


def repeat(recording: Path, times: int, folder: Path) -> Path:
    """The recording, so many times over, as a file in ``folder``."""
    repeated = folder / f"{times}.wav"
    with wave.open(str(recording), "rb") as source, wave.open(str(repeated), "wb") as joined:
        joined.setparams(source.getparams())
        frames = source.readframes(source.getnframes())
        for _ in range(times):
            joined.writeframes(frames)
    return repeated


def put_to_sleep(host: Host) -> None:
    assert host.check_output("docker-autostart stop faster-whisper") == f"{NAME}: stopped"
    assert not container(host)["Running"]


def wait_until(condition: Callable[[], bool], seconds: float) -> float:
    """Return the seconds until ``condition`` held, or fail."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not so within {seconds} s"
        time.sleep(0.25)
    return time.monotonic() - start


@contextmanager
def load(*, posts: bool) -> Iterator[list[tuple[str, int]]]:
    """A request every 0.1 s for as long as the block runs and 3 s longer; yields what was asked, with its status.

    With ``posts`` there is a transcription too, and a form without a recording every 0.1 s, which is refused with 400.
    """
    assert get().status_code == 200
    statuses: list[tuple[str, int]] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.1):
            statuses.append(("GET", get().status_code))

    def send_form() -> None:
        while not ended.wait(0.1):
            answer = requests.post(
                f"{URL}/v1/audio/transcriptions",
                headers=KEY,
                data={"model": "whisper-1"},
                verify=AUTHORITY,
                timeout=120,
            )
            statuses.append(("POST", answer.status_code))

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask) for _ in range(2)]
        if posts:
            transcription = pool.submit(transcribe, CLIP)
            clients.append(pool.submit(send_form))
        wait_until(lambda: len(statuses) > 10, 20)
        try:
            yield statuses
            time.sleep(3)
        finally:
            ended.set()
        for client in clients:
            client.result()
        if posts:
            statuses.append(("transcription", transcription.result().status_code))


def test_a_deployment_leaves_a_sleeping_service_asleep(host: Host) -> None:
    """The idempotence step deployed once more after the side effect had put the service to sleep."""
    assert status(host)["state"] == "stopped"
    assert container(host)["Status"] == "exited"
    assert starts(host) == 1, "the first deployment's verification"


def test_the_first_request_wakes_it_and_is_answered(host: Host) -> None:
    put_to_sleep(host)
    answer = transcribe(CLIP)
    assert answer.status_code == 200, answer.text
    assert "leisure to consider" in answer.json()["text"]
    assert answer.headers["X-Autostart"] == "cold"
    assert re.fullmatch(r"wake;dur=\d+(\.\d+)?", answer.headers["Server-Timing"])
    assert get().headers["X-Autostart"] == "warm"


def test_fifty_first_requests_start_it_once(host: Host) -> None:
    put_to_sleep(host)
    before = starts(host)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: get(), range(50)))
    assert [answer.status_code for answer in answers] == [200] * 50
    assert {answer.json()["data"][0]["id"] for answer in answers} == {"Systran/faster-whisper-base"}
    assert starts(host) == before + 1


def test_a_large_upload_waits_without_taking_memory(host: Host) -> None:
    """300 MB that are no recording: the service says so when it has all of them."""
    put_to_sleep(host)
    daemon = host.check_output("systemctl show --property MainPID --value docker-autostart")
    host.check_output("echo 5 > /proc/%s/clear_refs", daemon)  # proc(5): resets VmHWM

    def peak_kib() -> int:
        return int(host.check_output("awk '/VmHWM/ {print $2}' /proc/%s/status", daemon))

    before = peak_kib()
    boundary = "molecule"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
    tail = f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--{boundary}--\r\n'
    chunk = bytes(1_000_000)

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(UPLOAD // len(chunk)):
            yield chunk
        yield tail.encode()

    connection = http.client.HTTPSConnection(
        NAME, PORT, timeout=120, context=ssl.create_default_context(cafile=AUTHORITY)
    )
    connection.request(
        "POST",
        "/v1/audio/transcriptions",
        body=body(),
        headers=KEY
        | {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + UPLOAD + len(tail)),
        },
    )
    answer = connection.getresponse()
    error = json.loads(answer.read())["error"]
    connection.close()
    assert answer.status == 415, error
    assert answer.headers["X-Autostart"] == "cold"
    assert peak_kib() - before < 10 * 1024


def test_neither_a_long_request_nor_a_job_is_taken_for_idleness(host: Host, tmp_path: Path) -> None:
    """One recording is transcribed at a time: the job's when the request's is, while no request is there any more."""
    request, job = repeat(LONG, REQUEST_REPEATED, tmp_path), repeat(LONG, JOB_REPEATED, tmp_path)
    assert get().status_code == 200
    began = container(host)["StartedAt"]
    start = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(transcribe, request)
        wait_until(lambda: jobs_and_requests(host) > 0, 20)
        accepted = transcribe(job, Prefer="respond-async")
        assert accepted.status_code == 202, accepted.text
        answer = long.result()
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - start > 1.2 * IDLE_TIMEOUT, "too fast to show anything: raise REQUEST_REPEATED"
    alone = wait_until(lambda: jobs_and_requests(host) == 0, 300)
    assert alone > 1.2 * IDLE_TIMEOUT, "too fast to show anything: raise JOB_REPEATED"
    assert f"{NAME}: idle, but not stopped: 1 jobs run" in host.check_output(
        "journalctl --unit docker-autostart --output cat"
    )
    result = get(accepted.headers["Location"]).json()
    assert result["status"] == "completed", result
    assert container(host)["StartedAt"] == began


@contextmanager
def trickled_upload() -> Iterator[http.client.HTTPSConnection]:
    """An upload that gets a byte more every 0.2 s for as long as anybody takes it."""
    connection = http.client.HTTPSConnection(
        NAME, PORT, timeout=60, context=ssl.create_default_context(cafile=AUTHORITY)
    )
    connection.connect()
    connection.auto_open = 0  # what is sent after the answer must not open another connection
    connection.putrequest("POST", "/v1/audio/transcriptions")
    headers = {"Content-Type": "multipart/form-data; boundary=molecule", "Content-Length": "100000"}
    for name, value in (KEY | headers).items():
        connection.putheader(name, value)
    connection.endheaders(b"--molecule\r\n")
    ended = threading.Event()

    def trickle() -> None:
        while not ended.wait(0.2):
            try:
                connection.send(b"x")
            except (OSError, http.client.NotConnected):  # cut off; the answer is still to be read
                return

    trickling = threading.Thread(target=trickle)
    trickling.start()
    try:
        yield connection
    finally:
        ended.set()
        trickling.join()
        connection.close()


def test_a_trickled_upload_keeps_neither_a_stop_nor_a_restart_from_ending(host: Host) -> None:
    """A request that comes during the stop is answered by the next start."""
    for command in ("docker-autostart stop faster-whisper", "systemctl restart docker-autostart"):
        assert get().status_code == 200
        with trickled_upload() as upload, ThreadPoolExecutor(1) as pool:
            wait_until(lambda: status(host)["in_flight"] == 1, 10)
            start = time.monotonic()
            ending = pool.submit(host.check_output, command)
            time.sleep(5)
            honest = get()
            assert honest.status_code == 200, honest.text
            ending.result()
            assert time.monotonic() - start < 60
            answer = upload.getresponse()
            error = json.loads(answer.read())["error"]
            assert (answer.status, error["code"]) == (503, "stopping"), error
            assert answer.headers["Retry-After"] == "5"


def test_an_idle_service_is_stopped(host: Host) -> None:
    assert get().status_code == 200
    took = wait_until(lambda: status(host)["state"] == "stopped", IDLE_TIMEOUT + 10)
    assert took > IDLE_TIMEOUT - 1
    journal = host.check_output("journalctl --unit docker-autostart --output cat --since '-10 s'")
    assert f"{NAME}: stopped (idle)" in journal


def test_a_killed_container_is_started_for_the_next_request(host: Host) -> None:
    assert get().status_code == 200
    host.check_output("docker kill --signal KILL faster-whisper")
    answer = get()
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Autostart"] == "cold"


def test_a_restart_of_the_engine_is_not_seen_by_new_requests(host: Host) -> None:
    """What carries bodies from the port to the container ends with the engine: those under way are cut off by it."""
    began = container(host)["StartedAt"] if get().status_code == 200 else ""
    with load(posts=False) as statuses:
        host.check_output("systemctl restart docker")
    assert set(statuses) == {("GET", 200)}
    assert container(host)["StartedAt"] == began
    put_to_sleep(host)
    assert get().status_code == 200, "the daemon found the engine again"


def test_a_restart_of_the_daemon_costs_no_request(host: Host) -> None:
    before = container(host)["StartedAt"]
    with load(posts=True) as statuses:
        for _ in range(2):
            host.check_output("systemctl restart docker-autostart")
    assert set(statuses) == {("GET", 200), ("POST", 400), ("transcription", 200)}
    assert container(host)["StartedAt"] == before


def test_a_wrong_configuration_changes_nothing(host: Host) -> None:
    file = "/opt/docker-autostart/config.json"
    host.check_output("cp %s /root/config.json", file)
    host.check_output('sed -i \'s/"idleTimeout": .*,/"idleTimeout": -1,/\' %s', file)
    checked = host.run("docker-autostart check-config")
    host.check_output("systemctl reload docker-autostart")
    assert checked.rc == 78
    assert "line 3: idleTimeout: must be a number of seconds, 0 (never stopped) or more; got -1" in checked.stderr
    wait_until(
        lambda: "is not in force" in host.check_output("journalctl --unit docker-autostart --output cat --lines 5"), 10
    )
    assert get().status_code == 200
    host.check_output("mv /root/config.json %s", file)
    host.check_output("systemctl reload docker-autostart")
    assert get().status_code == 200


def test_compose_by_hand_is_noticed(host: Host) -> None:
    assert get().status_code == 200
    host.check_output("docker compose --project-directory /opt/whisper-faster stop")
    wait_until(lambda: status(host)["state"] == "stopped", 5)
    host.check_output("docker compose --project-directory /opt/whisper-faster up --detach")
    wait_until(lambda: status(host)["state"] == "ready", 20)
    assert get().headers["X-Autostart"] == "warm"


def test_preflights_and_monitors_wake_nothing(host: Host) -> None:
    put_to_sleep(host)
    before = starts(host)
    preflight = requests.options(f"{URL}/v1/audio/transcriptions", verify=AUTHORITY, timeout=10)
    assert preflight.status_code == 204
    for asked in (get("/health"), get("/v1/models", **{"User-Agent": "Mozilla/5.0 (compatible; UptimeRobot/2.0)"})):
        assert asked.status_code == 503
        assert asked.json()["error"]["code"] == "asleep"
    assert status(host)["state"] == "stopped"
    assert starts(host) == before


def test_monitors_do_not_keep_it_awake(host: Host) -> None:
    assert get().status_code == 200
    used = time.monotonic()
    while time.monotonic() < used + 3:
        assert get("/health").status_code == 200
        time.sleep(0.2)  # a fast machine would meet the request rate that nginx allows
    assert status(host)["last_used_seconds_ago"] > 2


@pytest.fixture
def rebooted(host: Host) -> None:
    """The server was restarted with the service awake."""
    assert get().status_code == 200
    subprocess.run(["docker", "restart", "--time", "30", SERVER], check=True, capture_output=True)
    wait_until(lambda: host.run("systemctl is-system-running").stdout.strip() in {"running", "degraded"}, 60)


@pytest.mark.usefixtures("rebooted")
def test_after_a_reboot_the_service_sleeps_and_the_first_request_wakes_it(host: Host) -> None:
    assert host.service("docker-autostart").is_running
    assert status(host)["state"] == "stopped"
    assert not container(host)["Running"]
    answer = transcribe(CLIP)
    assert answer.status_code == 200, answer.text
    assert "leisure to consider" in answer.json()["text"]
    assert answer.headers["X-Autostart"] == "cold"

"""A service that sleeps until it is asked for, seen through the public endpoint and on the host.

The tests run in this order, on one host; each brings the service into the state that it begins with.
"""

import http.client
import json
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from testinfra.host import Host

from tests.autostart.server import (
    AUTHORITY,
    CLIP,
    CLIP_TEXT,
    CONFIGURATION,
    CONTAINER,
    IDLE_TIMEOUT,
    KEY,
    NAME,
    PORT,
    SPEECH,
    URL,
    container,
    events,
    get,
    jobs_and_requests,
    put_to_sleep,
    repeat,
    starts,
    status,
    transcribe,
    wait_until,
)

LONG = SPEECH / "silero/aepyx.wav"
REQUEST_REPEATED, JOB_REPEATED = 4, 4
"""How often the 169 s: they take two free cores 3 s at the least, 20 s when other work keeps them busy."""
UPLOAD = 300_000_000


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
    """An operator put it to sleep, and then the server was deployed to once more."""
    assert status(host)["state"] == "stopped"
    assert container(host)["Status"] == "exited"
    assert events(host)[-1] == "stopped (operator)", "nothing has started it since"


def test_fifty_first_requests_start_it_once_and_are_answered(host: Host) -> None:
    put_to_sleep(host)
    before = starts(host)
    with ThreadPoolExecutor(50) as pool:
        transcription = pool.submit(transcribe, CLIP)
        answers = list(pool.map(lambda _: get(), range(49)))
    assert [answer.status_code for answer in answers] == [200] * 49
    assert {answer.json()["data"][0]["id"] for answer in answers} == {"Systran/faster-whisper-base"}
    transcribed = transcription.result()
    assert transcribed.status_code == 200, transcribed.text
    assert CLIP_TEXT in transcribed.json()["text"]
    assert transcribed.headers["X-Autostart"] == "cold"
    assert re.fullmatch(r"wake;dur=\d+(\.\d+)?", transcribed.headers["Server-Timing"])
    assert starts(host) == before + 1
    assert get().headers["X-Autostart"] == "warm"


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
    began, before = container(host)["StartedAt"], len(events(host))
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
    assert "idle, but not stopped: 1 jobs run" in events(host)[before:]
    result = get(accepted.headers["Location"]).json()
    assert result["status"] == "completed", result
    assert container(host)["StartedAt"] == began


def test_an_idle_service_is_stopped_and_monitors_neither_hinder_that_nor_wake_it(host: Host) -> None:
    assert get().status_code == 200
    healthy = []

    def monitor_finds_it_stopped() -> bool:
        answer = get("/health")
        assert answer.status_code in {200, 503}, answer.text
        healthy.append(answer.status_code == 200)
        return str(status(host)["state"]) == "stopped"

    took = wait_until(monitor_finds_it_stopped, IDLE_TIMEOUT + 10)
    assert took > IDLE_TIMEOUT - 1
    assert healthy[0]
    stopped = events(host)
    assert stopped[-1] == "stopped (idle)"

    preflight = requests.options(f"{URL}/v1/audio/transcriptions", verify=AUTHORITY, timeout=10)
    assert preflight.status_code == 204
    for asked in (get("/health"), get("/v1/models", **{"User-Agent": "Mozilla/5.0 (compatible; UptimeRobot/2.0)"})):
        assert asked.status_code == 503
        assert asked.json()["error"]["code"] == "asleep"
    assert status(host)["state"] == "stopped"
    assert events(host) == stopped


@contextmanager
def trickled_upload(host: Host) -> Iterator[http.client.HTTPSConnection]:
    """An upload that gets a byte more every 0.2 s for as long as anybody takes it."""
    assert get().status_code == 200
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
        wait_until(lambda: status(host)["in_flight"] == 1, 10)
        yield connection
    finally:
        ended.set()
        trickling.join()
        connection.close()


def assert_told_to_come_again(upload: http.client.HTTPSConnection) -> None:
    answer = upload.getresponse()
    error = json.loads(answer.read())["error"]
    assert (answer.status, error["code"]) == (503, "stopping"), error
    assert answer.headers["Retry-After"] == "5"


def test_a_trickled_upload_does_not_keep_an_operator_from_stopping(host: Host) -> None:
    """A request that comes during the stop is answered by the next start."""
    with trickled_upload(host) as upload, ThreadPoolExecutor(2) as pool:
        start = time.monotonic()
        stop = pool.submit(host.check_output, "docker-autostart stop faster-whisper")
        wait_until(lambda: status(host)["state"] == "draining", 5)
        honest = pool.submit(get)
        stop.result()
        assert time.monotonic() - start < 60
        assert_told_to_come_again(upload)
        answer = honest.result()
        assert answer.status_code == 200, answer.text
        assert answer.headers["X-Autostart"] == "cold"


def test_a_restart_of_the_daemon_costs_no_request_and_does_not_wait_for_a_trickled_upload(host: Host) -> None:
    with trickled_upload(host) as upload, load(posts=True) as statuses:
        before = container(host)["StartedAt"]
        start = time.monotonic()
        host.check_output("systemctl restart docker-autostart")
        assert time.monotonic() - start < 60
        assert_told_to_come_again(upload)
        host.check_output("systemctl restart docker-autostart")
    assert set(statuses) == {("GET", 200), ("POST", 400), ("transcription", 200)}
    assert container(host)["StartedAt"] == before


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


def test_a_wrong_configuration_changes_nothing(host: Host) -> None:
    host.check_output("cp %s /root/config.json", CONFIGURATION)
    try:
        host.check_output('sed -i \'s/"idleTimeout": .*,/"idleTimeout": -1,/\' %s', CONFIGURATION)
        checked = host.run("docker-autostart check-config")
        host.check_output("systemctl reload docker-autostart")
        assert checked.rc == 78
        assert "line 3: idleTimeout: must be a number of seconds, 0 (never stopped) or more; got -1" in checked.stderr
        wait_until(
            lambda: "was not applied" in host.check_output("journalctl --unit docker-autostart --output cat --lines 5"),
            10,
        )
        assert get().status_code == 200
    finally:
        host.check_output("mv /root/config.json %s", CONFIGURATION)
        host.check_output("systemctl reload docker-autostart")
    assert get().status_code == 200


def test_compose_by_hand_is_noticed(host: Host) -> None:
    assert get().status_code == 200
    host.check_output("docker compose --project-directory /opt/whisper-faster stop")
    wait_until(lambda: status(host)["state"] == "stopped", 5)
    host.check_output("docker compose --project-directory /opt/whisper-faster up --detach")
    wait_until(lambda: status(host)["state"] == "ready", 20)
    assert get().headers["X-Autostart"] == "warm"


@pytest.fixture
def rebooted(host: Host) -> None:
    """The server was restarted with the service awake."""
    assert get().status_code == 200
    subprocess.run(["docker", "restart", "--time", "30", CONTAINER], check=True, capture_output=True)
    wait_until(lambda: host.run("systemctl is-system-running").stdout.strip() in {"running", "degraded"}, 60)


@pytest.mark.usefixtures("rebooted")
def test_after_a_reboot_the_service_sleeps_and_the_first_request_wakes_it(host: Host) -> None:
    assert host.service("docker-autostart").is_running
    assert status(host)["state"] == "stopped"
    assert not container(host)["Running"]
    answer = transcribe(CLIP)
    assert answer.status_code == 200, answer.text
    assert CLIP_TEXT in answer.json()["text"]
    assert answer.headers["X-Autostart"] == "cold"

"""What a stranger on the next host can reach of a server, over IPv4 and IPv6, and that nobody is locked out.

The tests run in this order, on one server.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterable

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper-firewall"]

SERVER = "whisper-firewall"
STRANGER = "whisper-firewall-stranger"
SERVER_IPV6 = "fd00:f1::1"
STRANGER_IPV6 = "fd00:f1::2"
CONTAINER = ("172.30.0.2", "fd00:c0::2")
"""The stand-in's addresses in a network that only the server has; it listens on 8000."""

Deploy = Callable[..., subprocess.CompletedProcess[str]]
TABLE = "nft --terse list table inet whisper_services"

TCP_PROBE = """
import asyncio, json, sys

async def answers(gate, address, port):
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 5)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

async def main():
    gate = asyncio.Semaphore(800)
    targets = json.load(sys.stdin)
    found = await asyncio.gather(*(answers(gate, *target) for target in targets))
    print(json.dumps([target for target, answered in zip(targets, found) if answered]))

asyncio.run(main())
"""

UDP_PROBE = """
import socket, sys
address, port = sys.argv[1], int(sys.argv[2])
with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(2)
    client.sendto(b"hello", (address, port))
    try:
        print(client.recv(64).decode())
    except TimeoutError:
        print("silent")
"""


def on(container: str, *command: str, stdin: str = "") -> str:
    """The output of a command in a container of the test bed."""
    done = subprocess.run(
        ["docker", "exec", "-i", container, *command], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def address_of(container: str) -> str:
    found = on(container, "ip", "-4", "-json", "address", "show", "dev", "eth0")
    return str(json.loads(found)[0]["addr_info"][0]["local"])


def answers_to_the_stranger(targets: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of the targets (address, TCP port) that take a connection, all asked at once."""
    found = on(STRANGER, "python3", "-c", TCP_PROBE, stdin=json.dumps(list(targets)))
    return [(address, port) for address, port in json.loads(found)]


def reached_by_the_stranger(targets: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    return set(answers_to_the_stranger(targets))


def route_to_the_containers() -> None:
    """What an attacker next door does: the server as the router to the containers' networks."""
    on(STRANGER, "ip", "-4", "route", "replace", "172.30.0.0/24", "via", address_of(SERVER))
    on(STRANGER, "ip", "-6", "route", "replace", "fd00:c0::/64", "via", SERVER_IPV6)


both_families = pytest.mark.parametrize("address", [None, SERVER_IPV6], ids=["IPv4", "IPv6"])


@both_families
def test_only_ssh_and_the_web_answer(address: str | None) -> None:
    target = address or address_of(SERVER)
    ports = {*range(1, 1025), 2222, *range(8000, 9000)}
    open_ports = {port for _, port in reached_by_the_stranger((target, port) for port in ports)}
    assert open_ports == {22, 80, 443}


@both_families
@pytest.mark.parametrize(("port", "answer"), [(443, "here"), (8890, "silent")])
def test_datagrams_get_to_quic_alone(address: str | None, port: int, answer: str) -> None:
    target = address or address_of(SERVER)
    assert on(STRANGER, "python3", "-c", UDP_PROBE, target, str(port)).strip() == answer


@pytest.mark.parametrize("address", CONTAINER)
def test_a_route_set_by_hand_does_not_lead_to_the_containers(address: str) -> None:
    route_to_the_containers()
    assert reached_by_the_stranger([(address, 8000)]) == set()


def test_the_server_reaches_what_containers_publish_on_its_loopback(host: Host) -> None:
    for port in (8001, 8002, 443):
        assert host.run(f"curl --silent --fail --max-time 5 http://127.0.0.1:{port}/").rc == 0


def test_containers_get_out(host: Host) -> None:
    """The stranger's own server answers them, over IPv4 behind the server's address, over IPv6 with their own."""
    for target in (address_of(STRANGER), f"[{STRANGER_IPV6}]"):
        fetch = f"import urllib.request as r; print(r.urlopen('http://{target}:8000/', timeout=5).status)"
        assert host.check_output("docker exec stand-in python3 -c %s", fetch) == "200"


def test_hosts_find_each_other(host: Host) -> None:
    """Without neighbour discovery IPv6 ends when the caches do."""
    host.check_output("ip -6 neighbour flush dev eth0")
    on(STRANGER, "ip", "-6", "neighbour", "flush", "dev", "eth0")
    assert reached_by_the_stranger([(SERVER_IPV6, 80)]) == {(SERVER_IPV6, 80)}


@both_families
def test_one_address_cannot_try_passwords_all_day(host: Host, address: str | None) -> None:
    target = address or address_of(SERVER)
    host.check_output("systemctl reload whisper-services-firewall")
    answers = answers_to_the_stranger([(target, 22)] * 120 + [(target, 80)])
    # Thirty at once, and one every two seconds while the others are being refused.
    assert 30 <= answers.count((target, 22)) < 60
    assert (target, 80) in answers
    host.check_output("systemctl reload whisper-services-firewall")
    assert reached_by_the_stranger([(target, 22)]) == {(target, 22)}


def test_rules_that_lock_the_deployment_out_are_undone(host: Host, deploy: Deploy) -> None:
    before = host.check_output(TABLE)
    deployment = deploy(firewall_ssh_ports=[2222], firewall_rollback_timeout=10)
    assert deployment.returncode != 0
    assert "could not be reached in time" in deployment.stdout
    deadline = time.monotonic() + 30
    while not reached_by_the_stranger([(address_of(SERVER), 22)]):
        assert time.monotonic() < deadline, "the timer did not undo the rules"
        time.sleep(1)
    assert host.check_output(TABLE) == before
    assert "2222" not in host.file("/etc/whisper-services/firewall.nft").content_string


def test_rules_that_let_the_deployment_in_stay(host: Host, deploy: Deploy) -> None:
    deployment = deploy(firewall_udp_ports=[443, 8890])
    assert deployment.returncode == 0, deployment.stdout
    assert "udp dport { 443, 8890 }" in host.check_output(TABLE)
    assert host.run("systemctl is-active whisper-services-firewall-rollback.timer").stdout.strip() == "inactive"
    assert not host.file("/etc/whisper-services/firewall.candidate.nft").exists


@pytest.mark.parametrize("verb", ["start", "reload", "restart", "stop"])
def test_what_the_distributions_unit_flushes_is_loaded_again(host: Host, verb: str) -> None:
    before = host.check_output(TABLE)
    host.check_output(f"systemctl {verb} nftables")
    assert host.check_output(TABLE) == before


def test_the_rules_are_there_after_a_reboot(host: Host) -> None:
    before = host.check_output(TABLE)
    subprocess.run(["docker", "restart", SERVER], check=True, capture_output=True)
    deadline = time.monotonic() + 60
    while host.run("systemctl is-system-running").stdout.strip() != "running":
        assert time.monotonic() < deadline, "the server did not boot"
        time.sleep(1)
    # What prepare.yml gave it ended with the network namespace.
    host.check_output("sysctl --write net.ipv6.conf.all.disable_ipv6=0")
    assert host.check_output(TABLE) == before


def test_removed_it_leaves_nothing_and_all_of_it_answers(host: Host, deploy: Deploy) -> None:
    """Also the proof that the tests above could have failed."""
    # Docker asks for IPv6 when it starts.
    host.check_output("systemctl restart docker")
    host.check_output("docker start stand-in")
    host.check_output("sysctl --write net.ipv6.conf.all.forwarding=1")
    host.check_output(f"ip -6 address replace {SERVER_IPV6}/64 dev eth0 nodad")
    # The restart gave it another link-layer address.
    on(STRANGER, "ip", "neighbour", "flush", "dev", "eth0")
    deployment = deploy(firewall_state="absent")
    assert deployment.returncode == 0, deployment.stdout
    assert "whisper_services" not in host.check_output("nft list tables")
    assert not host.file("/etc/systemd/system/whisper-services-firewall.service").exists
    assert not host.file("/etc/whisper-services/firewall.nft").exists
    route_to_the_containers()
    address = address_of(SERVER)
    containers = {(container, 8000) for container in CONTAINER}
    published = {(target, port) for target in (address, SERVER_IPV6) for port in (8001, 443)}
    assert reached_by_the_stranger(containers | published) == containers | published

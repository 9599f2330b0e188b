"""Who goes on guessing is banned for a while, and nobody else is."""

import time
from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://whisper_services"]

KEY = "molecule-key-0123456789abcdef0123456789"
ATTEMPTS = 10
"""nginx_fail2ban_attempts, as it is by default."""
BANNED, REFUSED, COMES_IN = "000", "401", "200"


@pytest.fixture
def stranger(host: Host) -> Iterator[Callable[[str], str]]:
    """Asks the host from another machine with an API key, empty for none, and returns the status; 000 is no answer."""
    machine = Host.get_host("ansible://whisper-edge-acme", ansible_inventory=host.backend.ansible_inventory)
    url = f"https://whisper.{host.ansible.get_variables()['site_domain']}/v1/models"
    ask = "curl --silent --insecure --max-time 3 --output /dev/null --write-out '%%{http_code}' --header %s %s"

    yield lambda key: machine.run(ask, f"Authorization: Bearer {key}" if key else "X-None: ", url).stdout
    host.check_output("fail2ban-client unban --all")


def wait_for(status: str, ask: Callable[[], str], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ask() == status:
            return True
        time.sleep(0.5)
    return False


def test_who_guesses_is_banned_and_let_in_later(host: Host, stranger: Callable[[str], str]) -> None:
    assert stranger(KEY) == COMES_IN
    assert stranger("wrong") == REFUSED
    for _ in range(ATTEMPTS - 1):
        stranger("wrong")
    assert wait_for(BANNED, lambda: stranger(KEY), 10), host.check_output("fail2ban-client status whisper-services")
    assert "whisper-services" in host.check_output("nft list table inet f2b-table")
    assert wait_for(COMES_IN, lambda: stranger(KEY), 30)


def test_who_brings_no_credentials_at_all_is_not_banned(host: Host, stranger: Callable[[str], str]) -> None:
    before = host.check_output("fail2ban-client get whisper-services banip")
    assert {stranger("") for _ in range(2 * ATTEMPTS)} == {REFUSED}
    # Time for a poll of the log.
    time.sleep(3)
    assert stranger(KEY) == COMES_IN
    assert host.check_output("fail2ban-client get whisper-services banip") == before

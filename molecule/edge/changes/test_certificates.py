"""What becomes of an issued certificate: renewals, changed variables, an ACME server that is down.

The tests run in this order, each on both servers.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from testinfra.host import Host

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
DOMAINS = {"whisper-edge13": "edge13.test", "whisper-edge12": "edge12.test"}
KEY = {"Authorization": "Bearer molecule-key-0123456789abcdef0123456789"}
FIRST, SECOND = (f"https://acme.test:{port}/dir" for port in (14000, 14001))
TRUST = "REQUESTS_CA_BUNDLE=/etc/ssl/whisper-services/acme-ca.pem"

every_server = pytest.mark.parametrize("server", DOMAINS)


def host_of(server: str) -> Host:
    return testinfra.get_host(f"docker://{server}")


def playbook(file: Path, *arguments: str) -> tuple[int, str]:
    """Run a playbook on both servers; the exit status, and all it printed as one line."""
    command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], str(file), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def deploy(*, tags: str = "all", **variables: Any) -> tuple[int, str]:
    return playbook(SCENARIO / "converge.yml", "--tags", tags, "--extra-vars", json.dumps(variables))


def served(name: str) -> x509.Certificate:
    """The certificate that the server of this name shows."""
    show = ["openssl", "s_client", "-connect", f"{name}:443", "-servername", name]
    shown = subprocess.run(show, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return x509.load_pem_x509_certificate(shown.stdout)


def names_in(certificate: x509.Certificate) -> set[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))


@contextmanager
def load(url: str, authorities: str) -> Iterator[list[int]]:
    """Requests on new and on kept connections for as long as the block runs and 2 s longer; yields the statuses."""
    statuses: list[int] = []
    ended = threading.Event()

    def ask(session: requests.Session | None) -> None:
        while not ended.wait(0.2):
            ask_once = session or requests.Session()
            statuses.append(ask_once.get(url, headers=KEY, verify=authorities, timeout=10).status_code)

    with ThreadPoolExecutor(3) as pool:
        askers = [pool.submit(ask, session) for session in (None, None, requests.Session())]
        try:
            yield statuses
            time.sleep(2)
        finally:
            ended.set()
        for asker in askers:
            asker.result()


@every_server
def test_it_is_issued_and_trusted(server: str, authorities: str) -> None:
    name = f"whisper.{DOMAINS[server]}"
    assert requests.get(f"https://{name}/v1/models", headers=KEY, verify=authorities, timeout=10).status_code == 200
    certificate = served(name)
    assert names_in(certificate) == {name}
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert host_of(server).file(f"/etc/ssl/whisper-services/{name}").linked_to == f"/etc/letsencrypt/live/{name}"


@every_server
@pytest.mark.parametrize("asked_for", ["whisper", "stranger"])
def test_the_challenges_are_open_to_everybody(server: str, asked_for: str) -> None:
    folder = "/var/lib/whisper-services/acme/.well-known/acme-challenge"
    host_of(server).check_output("echo -n proof > %s/token", folder)
    address = f"http://whisper.{DOMAINS[server]}/.well-known/acme-challenge"
    headers = {"Host": f"{asked_for}.{DOMAINS[server]}"}
    answer = requests.get(f"{address}/token", headers=headers, allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.text) == (200, "proof")
    assert requests.get(f"{address}/none", headers=headers, allow_redirects=False, timeout=10).status_code == 404
    host_of(server).check_output("rm %s/token", folder)


@every_server
def test_a_renewal_by_the_timer_drops_no_request(server: str, authorities: str) -> None:
    host, name = host_of(server), f"whisper.{DOMAINS[server]}"
    assert host.service("certbot.timer").is_running
    assert host.service("certbot.timer").is_enabled
    before = served(name)
    with load(f"https://{name}/v1/models", authorities) as statuses:
        # Of 90 days: it is time.
        host.check_output("sed -i '1i renew_before_expiry = 100 days' /etc/letsencrypt/renewal/%s.conf", name)
        host.check_output("systemctl start certbot.service")
        host.check_output("sed -i '/^renew_before_expiry/d' /etc/letsencrypt/renewal/%s.conf", name)
    assert len(statuses) > 10
    assert set(statuses) == {200}
    after = served(name)
    assert after.serial_number != before.serial_number
    assert after.issuer == before.issuer


@every_server
def test_a_rehearsed_renewal_passes(server: str) -> None:
    rehearse = f"{TRUST} certbot renew --dry-run --no-random-sleep-on-renew --server {FIRST}"
    rehearsal = host_of(server).run(rehearse)
    assert rehearsal.rc == 0, rehearsal.stdout + rehearsal.stderr
    assert "all simulated renewals succeeded" in rehearsal.stdout


def test_the_days_left_are_shown() -> None:
    status, printed = playbook(PROJECT / "playbooks/status.yml")
    assert status == 0, printed
    assert "docker-autostart is not installed" in printed
    for domain in DOMAINS.values():
        assert f"certificate of whisper.{domain}: 89 days left, from Pebble Intermediate CA" in printed


def test_a_name_is_added_and_another_one_that_cannot_be_issued_costs_nothing(authorities: str) -> None:
    status, printed = deploy(
        certificates_names=["whisper.{{ site_domain }}", "nowhere.{{ site_domain }}"],
        certificates_aliases="{{ {'whisper.' ~ site_domain: ['speech.' ~ site_domain]} }}",
    )
    assert status != 0
    for domain in DOMAINS.values():
        assert f"nowhere.{domain} has no address in DNS" in printed
        for name in (f"whisper.{domain}", f"speech.{domain}"):
            assert names_in(served(name)) == {f"whisper.{domain}", f"speech.{domain}"}
            answer = requests.get(f"https://{name}/v1/models", headers=KEY, verify=authorities, timeout=10)
            assert answer.status_code == 200


def test_a_changed_directory_and_key_type_issue_anew() -> None:
    before = {domain: served(f"whisper.{domain}") for domain in DOMAINS.values()}
    status, printed = deploy(tags="certificates", certificates_acme_directory=SECOND, certificates_key_type="rsa")
    assert status == 0, printed
    for domain in DOMAINS.values():
        certificate = served(f"whisper.{domain}")
        assert certificate.issuer != before[domain].issuer
        assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
        assert names_in(certificate) == {f"whisper.{domain}"}


def test_while_the_acme_server_is_down_the_old_certificate_stays(authorities: str) -> None:
    before = {domain: served(f"whisper.{domain}") for domain in DOMAINS.values()}
    acme = host_of("whisper-edge-acme")
    acme.check_output("systemctl stop pebble@14001")
    renewal = host_of("whisper-edge13").run(f"{TRUST} certbot renew --force-renewal --no-random-sleep-on-renew")
    status, printed = deploy(tags="certificates", certificates_acme_directory=SECOND, certificates_key_type="ecdsa")
    acme.check_output("systemctl start pebble@14001")
    assert renewal.rc != 0
    assert status != 0
    assert f"No certificate from {SECOND}" in printed
    assert "keep the certificate they have" in printed
    for domain in DOMAINS.values():
        name = f"whisper.{domain}"
        assert served(name) == before[domain]
        assert requests.get(f"https://{name}/v1/models", headers=KEY, verify=authorities, timeout=10).status_code == 200


@pytest.fixture
def provided(tmp_path: Path) -> Path:
    """Folder with NAME.pem and NAME.key for each domain, for all names below it."""
    for domain in DOMAINS.values():
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Provided")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"*.{domain}")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        (tmp_path / f"{domain}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (tmp_path / f"{domain}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return tmp_path


def test_a_provided_certificate_takes_its_place(provided: Path) -> None:
    entry = {
        "name": "whisper.{{ site_domain }}",
        "certificate": f"{provided}/{{{{ site_domain }}}}.pem",
        "key": f"{provided}/{{{{ site_domain }}}}.key",
    }
    status, printed = deploy(certificates_source="provided", certificates_provided=[entry])
    assert status == 0, printed
    assert "PRIVATE KEY" not in printed
    for server, domain in DOMAINS.items():
        assert served(f"whisper.{domain}").subject.rfc4514_string() == "CN=Provided"
        key = host_of(server).file(f"/etc/ssl/whisper-services/provided/whisper.{domain}/privkey.pem")
        assert (key.user, key.mode) == ("root", 0o600)


def test_all_of_it_can_be_removed() -> None:
    status, printed = deploy(tags="certificates", certificates_state="absent", certificates_remove_data=True)
    assert status == 0, printed
    for server, domain in DOMAINS.items():
        host = host_of(server)
        assert not host.package("certbot").is_installed
        for path in (
            "/etc/ssl/whisper-services",
            "/var/lib/whisper-services/acme",
            "/etc/letsencrypt/renewal-hooks/deploy/whisper-services",
            f"/etc/letsencrypt/live/whisper.{domain}",
            "/etc/systemd/system/certbot.service.d/whisper-services.conf",
        ):
            assert not host.file(path).exists, path

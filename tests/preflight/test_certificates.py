"""What the role certificates refuses before it changes anything.

All cases are hosts of one run of the role's `validate`, on this machine: it neither needs nor changes a server.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.preflight.runs import Report, play

NAME = "whisper.example.com"
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: certificates
        tasks_from: validate
"""


@dataclass(frozen=True)
class Case:
    """Variables, and words that the refusal must have; without words nothing is refused.

    FOLDER in a variable stands for the folder with the files that `write_files` makes.
    """

    variables: Mapping[str, Any]
    words: list[str] = field(default_factory=list)


def provided(certificate: str, key: str, name: str = NAME, **others: Any) -> dict[str, Any]:
    files = {"name": name, "certificate": f"FOLDER/{certificate}.pem", "key": f"FOLDER/{key}.key"}
    return {"certificates_source": "provided", "certificates_provided": [files], **others}


CASES = {
    "letsencrypt": Case({}),
    "letsencrypt-in-full": Case(
        {
            "certificates_email": "admin@example.com",
            "certificates_acme_directory": "https://acme.example.com/directory",
            "certificates_acme_ca_file": "FOLDER/good.pem",
            "certificates_key_type": "rsa",
            "certificates_aliases": {NAME: ["speech.example.com"]},
        }
    ),
    "selfsigned": Case({"certificates_source": "selfsigned"}),
    "provided": Case(provided("good", "good")),
    "provided-for-all-names-below": Case(provided("wildcard", "wildcard")),
    "provided-in-a-vault": Case(provided("good", "vaulted")),
    "unknown-source": Case(
        {"certificates_source": "acme"}, ["certificates_source", "letsencrypt, provided, selfsigned", "acme"]
    ),
    "no-domain": Case({"certificates_names": ["whisper"]}, ["'whisper'", "not a domain name", "site_domain"]),
    "no-names": Case({"certificates_names": []}, ["certificates_names", "is empty"]),
    "alias-of-nothing": Case(
        {"certificates_aliases": {"other.example.com": ["speech.example.com"]}},
        ["additional names for 'other.example.com'", "certificates_names", NAME],
    ),
    "no-email": Case({"certificates_email": "admin"}, ["certificates_email is 'admin'", "admin@example.com"]),
    "no-directory": Case(
        {"certificates_acme_directory": "http://acme.example.com/dir"}, ["certificates_acme_directory", "https://"]
    ),
    "no-acme-authority": Case(
        {"certificates_acme_ca_file": "/nowhere.pem"}, ["certificates_acme_ca_file", "/nowhere.pem", "has no such file"]
    ),
    "credentials-without-a-plugin": Case(
        {"certificates_dns_credentials": "token = x"}, ["certificates_dns_plugin", "cloudflare"]
    ),
    "expired": Case(provided("expired", "good"), ["FOLDER/expired.pem expired 20", "UTC", "Provide a newer one"]),
    "another-key": Case(
        provided("good", "other"), ["the key FOLDER/other.key is not that of the certificate FOLDER/good.pem"]
    ),
    "another-name": Case(
        provided("good", "good", name="whisperx.example.com", certificates_names=["whisperx.example.com"]),
        ["FOLDER/good.pem is not for whisperx.example.com, but for whisper.example.com"],
    ),
    "wildcard-of-another-level": Case(
        provided("wildcard", "wildcard", name="a.b.example.com", certificates_names=["a.b.example.com"]),
        ["is not for a.b.example.com, but for *.example.com"],
    ),
    "no-certificate": Case(
        provided("none", "good"), ["FOLDER/none.pem", "does not exist on the control node, or contains no certificate"]
    ),
    "no-key": Case(provided("good", "none"), ["FOLDER/none.key", "contains no private key in PEM without a password"]),
    "key-with-a-password": Case(provided("good", "locked"), ["FOLDER/locked.key", "without a password"]),
    "name-without-files": Case(
        provided("good", "good", certificates_names=[NAME, "whisperx.example.com"]),
        ["certificates_provided needs one entry", "whisper.example.com, whisperx.example.com", f"It has {NAME}"],
    ),
}


def write_files(folder: Path) -> None:
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("good", "other", "wildcard")}
    for name, key in keys.items():
        (folder / f"{name}.key").write_bytes(pem(key, serialization.NoEncryption()))
    (folder / "locked.key").write_bytes(pem(keys["good"], serialization.BestAvailableEncryption(b"secret")))
    (folder / "password").write_text("secret")
    vaulted = folder / "vaulted.key"
    vaulted.write_bytes(pem(keys["good"], serialization.NoEncryption()))
    encrypt = ["ansible-vault", "encrypt", "--vault-password-file", str(folder / "password"), str(vaulted)]
    subprocess.run(encrypt, check=True, capture_output=True)
    for file, key_name, name, days in (
        ("good", "good", NAME, 30),
        ("expired", "good", NAME, -1),
        ("wildcard", "wildcard", "*.example.com", 30),
    ):
        (folder / f"{file}.pem").write_bytes(certificate(keys[key_name], name, timedelta(days=days)))


def pem(key: ec.EllipticCurvePrivateKey, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def certificate(key: ec.EllipticCurvePrivateKey, name: str, left: timedelta) -> bytes:
    subject = x509.Name([])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + left)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the files that variables name."""
    folder = tmp_path_factory.mktemp("certificates")
    write_files(folder)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    hosts = {
        name: {"certificates_names": [NAME]} | json.loads(json.dumps(case.variables).replace("FOLDER", str(folder)))
        for name, case in CASES.items()
    }
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"ansible_connection": "local"}}}))
    playbook = folder / "validate.yml"
    playbook.write_text(PLAYBOOK)
    return play(playbook, inventory, "--vault-password-file", str(folder / "password"), "--forks", "4")


@pytest.mark.parametrize("name", CASES)
def test_refusals(report: Report, folder: Path, name: str) -> None:
    words = [word.replace("FOLDER", str(folder)) for word in CASES[name].words]
    assert bool(words) == (name in report.failed), report.refusals
    assert not words or report.refused(name, *words), report.refusals[name]


def test_keys_are_never_shown(report: Report) -> None:
    assert "unknown-source" in report.printed
    assert "PRIVATE KEY" not in report.printed

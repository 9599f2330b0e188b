"""Which of the host's own certificates are made anew, and that those as they should be are left."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from roles.certificates.files.due import due

NAMES = [["a.example.com", "b.example.com"], ["c.example.com"]]


class Host:
    """The folder of the certificates, as the role lays it out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = ec.generate_private_key(ec.SECP256R1())
        self.make("ca", [], self.authority, self.authority)
        for name, *aliases in NAMES:
            self.make(f"selfsigned/{name}", [name, *aliases], ec.generate_private_key(ec.SECP256R1()), self.authority)

    def make(
        self,
        path: str,
        names: list[str],
        key: ec.EllipticCurvePrivateKey,
        signer: ec.EllipticCurvePrivateKey,
        days: int = 90,
    ) -> None:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]),
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "authority")]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=1),
            not_valid_after=now + timedelta(days=days),
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), True)
        folder = self.folder / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "fullchain.pem").write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "privkey.pem").write_bytes(private)
        (folder / "privkey.pem").chmod(0o600)

    def due(self, days: int = 30) -> list[str]:
        return due(self.folder, days, NAMES)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_is_as_it_should_be_is_left(host: Host) -> None:
    assert host.due() == []


def test_a_fresh_host_needs_all_of_them(tmp_path: Path) -> None:
    assert due(tmp_path, 30, NAMES) == ["ca", "a.example.com", "c.example.com"]


def test_one_with_too_few_days_left(host: Host) -> None:
    host.make(
        "selfsigned/c.example.com", ["c.example.com"], ec.generate_private_key(ec.SECP256R1()), host.authority, 29
    )
    assert host.due() == ["c.example.com"]
    assert host.due(days=28) == []


def test_one_for_other_names(host: Host) -> None:
    host.make("selfsigned/a.example.com", ["a.example.com"], ec.generate_private_key(ec.SECP256R1()), host.authority)
    assert host.due() == ["a.example.com"]


def test_one_that_another_authority_of_the_same_name_signed(host: Host) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    host.make("selfsigned/c.example.com", ["c.example.com"], ec.generate_private_key(ec.SECP256R1()), stranger)
    assert host.due() == ["c.example.com"]


@pytest.mark.parametrize("damage", ["missing", "of another certificate", "readable by others", "no key"])
def test_one_whose_key_is_not_as_it_should_be(host: Host, damage: str) -> None:
    key = host.folder / "selfsigned/c.example.com/privkey.pem"
    if damage == "missing":
        key.unlink()
    elif damage == "of another certificate":
        key.write_bytes((host.folder / "ca/privkey.pem").read_bytes())
    elif damage == "readable by others":
        key.chmod(0o644)
    else:
        key.write_text("no key")
    assert host.due() == ["c.example.com"]


def test_an_authority_that_ends_takes_the_others_with_it(host: Host) -> None:
    host.make("ca", [], host.authority, host.authority, 29)
    assert host.due() == ["ca", "a.example.com", "c.example.com"]

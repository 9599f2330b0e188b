"""Reports which self-signed certificates have to be created: `due.py FOLDER DAYS NAME[,ALIAS...]...`.

Prints one name per line, `ca` for the CA. A certificate is valid if it belongs to its private key, which
only root can read, has exactly these names, is signed by the CA, and has more than DAYS left.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def certificate_in(folder: Path) -> x509.Certificate | None:
    """The certificate of a folder, None if it or its private key is missing or invalid."""
    file = folder / "privkey.pem"
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((folder / "fullchain.pem").read_bytes())
    except (OSError, ValueError, TypeError):
        return None
    is_secret = file.stat().st_mode & 0o077 == 0
    return certificate if is_secret and _is_of(certificate, key.public_key()) else None


def _is_of(certificate: x509.Certificate, public_key: object) -> bool:
    theirs = certificate.public_key()
    return (
        isinstance(theirs, ec.EllipticCurvePublicKey)
        and isinstance(public_key, ec.EllipticCurvePublicKey)
        and theirs.public_numbers() == public_key.public_numbers()
    )


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    key, algorithm = authority.public_key(), certificate.signature_hash_algorithm
    if not isinstance(key, ec.EllipticCurvePublicKey) or algorithm is None or certificate.issuer != authority.subject:
        return False
    try:
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(algorithm))
    except InvalidSignature:
        return False
    return True


def names_of(certificate: x509.Certificate) -> set[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return set(extension.value.get_values_for_type(x509.DNSName))


def lasts(certificate: x509.Certificate, days: int) -> bool:
    # Debian 12's cryptography has only a naive end time, which newer versions warn about.
    end = getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after.replace(tzinfo=UTC)
    return bool(end > datetime.now(UTC) + timedelta(days=days))


def due(folder: Path, days: int, names: list[list[str]]) -> list[str]:
    """Those of ``names``, each followed by its aliases, whose certificate has to be created, `ca` first."""
    authority = certificate_in(folder / "ca")
    if authority is None or not is_signed_by(authority, authority) or not lasts(authority, days):
        return ["ca"] + [name for name, *_ in names]
    found = {name: certificate_in(folder / "selfsigned" / name) for name, *_ in names}
    return [
        name
        for name, *aliases in names
        if (certificate := found[name]) is None
        or not is_signed_by(certificate, authority)
        or names_of(certificate) != {name, *aliases}
        or not lasts(certificate, days)
    ]


if __name__ == "__main__":
    directory, left, *wanted = sys.argv[1:]
    print("\n".join(due(Path(directory), int(left), [names.split(",") for names in wanted])))

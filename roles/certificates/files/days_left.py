"""Reports the expiry and the issuer of certificates: `days_left.py FOLDER NAME...` prints a JSON list."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path


def status(folder: Path, name: str) -> dict[str, object]:
    """``name`` with its `days_left` and `issuer`, or with the `problem` why it cannot be read."""
    try:
        # Imported here: a host without certificates does not have this library.
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        certificate = x509.load_pem_x509_certificate((folder / name / "fullchain.pem").read_bytes())
    except (ImportError, OSError, ValueError) as error:
        return {"name": name, "problem": str(error)}
    # Debian 12's cryptography has only a naive end time, which newer versions warn about.
    end = getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after.replace(tzinfo=UTC)
    names = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME) or list(certificate.issuer)
    issuer = ", ".join(str(attribute.value) for attribute in names)
    return {"name": name, "days_left": (end - datetime.now(UTC)).days, "issuer": issuer}


if __name__ == "__main__":
    print(json.dumps([status(Path(sys.argv[1]), name) for name in sys.argv[2:]]))

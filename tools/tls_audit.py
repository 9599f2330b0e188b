"""Audits TLS with testssl.sh into docs/security.md: python -m tools.tls_audit SERVER NAME CA_FILE.

SERVER is a container of the test bed whose nginx answers at port 443 for NAME; CA_FILE has the authority to trust.
Exits with 1 if the grade is below A or a finding is of medium severity or above.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/security.md"
IMAGE = "whisper-services/vps:trixie"
BEGIN, END = "<!-- Written by `make tls-audit`. -->", "<!-- End of what `make tls-audit` wrote. -->"

# In the server's own network, for its names lead there to the server itself.
AUDIT = """
apt-get install -qq --yes --no-install-recommends bind9-dnsutils bsdextrautils openssl procps testssl.sh >/dev/null
testssl --quiet --warnings off --color 0 --add-ca /ca.pem --jsonfile /tmp/findings.json "$0" >&2
cat /tmp/findings.json
"""

SEVERE = ("MEDIUM", "HIGH", "CRITICAL")
NOT_OURS = {"cert_revocation": "the test CA publishes no CRL"}
"""Findings of the certificate that the audited server has, which is not the one of a deployment."""
# What says something of the server; the rest is its certificate, and how each client of a list would connect.
SHOWN = re.compile(
    r"(SSLv\d|TLS1(_\d)?|ALPN_HTTP2|cipherlist_.*|FS|FS_KEMs|FS_ECDHE_curves|HSTS_time|banner_server|heartbleed|CCS|ticketbleed"
    r"|ROBOT|secure_.*renego|CRIME_TLS|BREACH|POODLE_SSL|fallback_SCSV|SWEET32|FREAK|DROWN|LOGJAM|BEAST|LUCKY13|winshock|RC4)"
)


@dataclass(frozen=True)
class Finding:
    """One line of testssl.sh."""

    check: str
    severity: str
    text: str


def parse(text: str) -> list[Finding]:
    """Return the findings of a JSON file of testssl.sh. Raises `ValueError` if it has no grade and is not whole."""
    findings = [Finding(item["id"], item["severity"], item["finding"].strip()) for item in json.loads(text)]
    if not any(finding.check == "overall_grade" for finding in findings):
        raise ValueError("testssl.sh gave no grade")
    return findings


def grade(findings: Iterable[Finding]) -> str:
    return next(finding.text for finding in findings if finding.check == "overall_grade")


def severe(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity in SEVERE and finding.check not in NOT_OURS]


def table(findings: list[Finding]) -> str:
    """Return the result in Markdown."""
    left_out = [
        f"`{finding.check}`, because {NOT_OURS[finding.check]}" for finding in findings if finding.check in NOT_OURS
    ]
    lines = [f"Grade {grade(findings)}; {len(severe(findings))} findings of medium severity or above."]
    lines += [f"Excluded: {'; '.join(left_out)}."] if left_out else []
    lines += ["", "| check | severity | finding |", "|---|---|---|"]
    lines += [
        f"| {finding.check} | {finding.severity} | {finding.text.replace('|', '/')} |"
        for finding in findings
        if SHOWN.fullmatch(finding.check) or finding in severe(findings)
    ]
    return "\n".join(lines)


def audit(server: str, name: str, authority: str) -> list[Finding]:
    """Run testssl.sh, which takes some minutes; what it prints is shown."""
    command = ["docker", "run", "--rm", "--network", f"container:{server}"]
    command += ["--volume", f"{Path(authority).resolve()}:/ca.pem:ro", IMAGE, "sh", "-euc", AUDIT, name]
    return parse(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)  # noqa: S603


def main() -> int:
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    findings = audit(*sys.argv[1:])
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(findings)}\n\n{END}{after}", encoding="utf-8")
    print(table(findings).splitlines()[0])
    return 0 if grade(findings).startswith("A") and not severe(findings) else 1


if __name__ == "__main__":
    sys.exit(main())

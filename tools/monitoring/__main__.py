"""Write every generated file that differs from what it should be, and say which: `python -m tools.monitoring`."""

import re
from collections.abc import Mapping
from pathlib import Path

from tools.monitoring.alerts import rule_file
from tools.monitoring.catalog import ROOT, table
from tools.monitoring.dashboard import dashboard_file

RULES = ROOT / "roles/monitoring/files/rules/whisper-services.yml"
DASHBOARD = ROOT / "docs/grafana/whisper-services.json"
DOCUMENT = ROOT / "docs/monitoring.md"

_TABLE = re.compile(r"(<!-- metrics -->\n).*?(<!-- end -->)", re.DOTALL)


def documented(document: str) -> str:
    """The document with its table of metrics up to date. Raises ValueError if it has no place for it."""
    lines = "".join(f"{line}\n" for line in table())
    text, tables = _TABLE.subn(lambda match: match[1] + lines + match[2], document)
    if tables != 1:
        raise ValueError("the document has no <!-- metrics --> and <!-- end -->")
    return text


def contents() -> Mapping[Path, str]:
    """What each generated file has to be."""
    return {
        RULES: rule_file(),
        DASHBOARD: dashboard_file(),
        DOCUMENT: documented(DOCUMENT.read_text(encoding="utf-8")),
    }


def main() -> None:
    for path, content in contents().items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

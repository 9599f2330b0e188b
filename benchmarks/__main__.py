"""`python -m benchmarks [SUITE] [OPTION…]`: runs one suite, or all, and writes what was measured."""

import argparse
import importlib
import sys
from pathlib import Path

from benchmarks.rows import RESULTS, save, table

SUITES = [
    "first_light",
    "whisper_faster",
    "media",
    "speed",
    "whisperx",
    "meetings",
    "autostart",
    "edge",
    "page",
    "long_audio",
    "fleet",
]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run", description="Measure, and write benchmarks/results/SUITE.json."
    )
    parser.add_argument("suite", nargs="?", choices=SUITES, help="one suite; without it all of them")
    parser.add_argument(
        "--warm", action="store_true", help="on the demo that runs, without one on a bare machine; print only"
    )
    parser.add_argument("--quick", action="store_true", help="speed: under three minutes, print only")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL", help="speed: another server")
    arguments = parser.parse_args()
    if (arguments.quick or arguments.peer) and arguments.suite != "speed":
        parser.error("--quick and --peer are for the suite speed")
    of_speed = {"quick": arguments.quick, "peers": arguments.peer}
    missed = 0
    for suite in [arguments.suite] if arguments.suite else SUITES:
        options = of_speed if suite == "speed" else {}
        rows = importlib.import_module(f"benchmarks.{suite}").measure(warm=arguments.warm, **options)
        print(f"\n{suite}\n{table(rows)}")
        if not (arguments.warm or arguments.quick):
            print(f"written to {save(suite, rows).relative_to(Path.cwd())}")
        missed += sum(not row.met for row in rows)
    return 1 if missed else 0


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    sys.exit(main())

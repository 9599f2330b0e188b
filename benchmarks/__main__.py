"""`python -m benchmarks [SUITE] [OPTION…]`: runs one suite, or all, and writes what was measured."""

import argparse
import importlib
import sys
from pathlib import Path

from benchmarks.rows import RESULTS, save, table

SUITES = ["first_light", "whisper_faster", "whisperx", "autostart", "edge", "long_audio"]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run", description="Measure, and write benchmarks/results/SUITE.json."
    )
    parser.add_argument("suite", nargs="?", choices=SUITES, help="one suite; without it all of them")
    parser.add_argument(
        "--warm", action="store_true", help="on the demo that runs, without one on a bare machine; print only"
    )
    arguments = parser.parse_args()
    missed = 0
    for suite in [arguments.suite] if arguments.suite else SUITES:
        rows = importlib.import_module(f"benchmarks.{suite}").measure(warm=arguments.warm)
        print(f"\n{suite}\n{table(rows)}")
        if not arguments.warm:
            print(f"written to {save(suite, rows).relative_to(Path.cwd())}")
        missed += sum(not row.met for row in rows)
    return 1 if missed else 0


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    sys.exit(main())

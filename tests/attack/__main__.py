"""Attack this project: mutated files of every format, or a mix of predictions on the local server.

    python -m tests.attack files [--count 500] [--seconds 600] [--seed 1]
    python -m tests.attack soak [--count 1000] [--seconds 3600]

Prints a table as docs/attacks.md has it. Ends with 1 where something crashed, hung, leaked or answered wrongly.
"""

import argparse
import sys

from tests.attack import files, soak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, count, seconds in (("files", 500, 600.0), ("soak", 1000, 3600.0)):
        options = kinds.add_parser(kind)
        options.add_argument("--count", type=int, default=count, help="at most")
        options.add_argument("--seconds", type=float, default=seconds, help="after which no more is begun")
        options.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    report = {"files": files.attack, "soak": soak.attack}[given.kind](given.count, given.seconds, given.seed)
    print(report.table())
    print(f"\n{report.tried} tried in {report.seconds:.0f} s.", f"When warm: {dict(report.first)}.", end=" ")
    print(f"At the end: {dict(report.last)}.")
    for fault in report.faults:
        print(f"FAULT {fault}")
    for leak in report.leaks:
        print(f"LEAK {leak}")
    return 1 if report.faults or report.leaks else 0


sys.exit(main())

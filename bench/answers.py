"""How long everything that takes text apart needs for a megabyte that comes character by character.

    python -m bench.answers [--all] [--length 1000000]

Each part takes each hostile text of `tests/worst.py` (without `--all`, ten of them). Time is processor time of one run
in one thread. A row is printed as soon as it is known; they are the table of bench/answers.md.
"""

import argparse
import time

from tests.worst import PARTS, PIECES, text_of

TEN = (
    "letters",
    "spaces",
    "line ends",
    "quotes and commas",
    "backslashes",
    "less than",
    "brackets opened",
    "marks",
    "controls",
    "points",
)


def seconds(part: str, piece: str, length: int) -> float:
    """Processor time that a part takes for so many characters of a text."""
    text = text_of(PIECES[piece], length)
    start = time.process_time()
    PARTS[part](text)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="all texts, which takes an hour")
    parser.add_argument("--length", type=int, default=1_000_000, help="characters")
    options = parser.parse_args()
    pieces = tuple(PIECES) if options.all else TEN
    print("| what takes it apart | s, least | s, most | for which text |\n|---|---|---|---|")
    for part in PARTS:
        taken = {piece: seconds(part, piece, options.length) for piece in pieces}
        worst = max(taken, key=lambda piece: taken[piece])
        print(f"| {part} | {min(taken.values()):.2f} | {taken[worst]:.2f} | {worst} |", flush=True)


if __name__ == "__main__":
    main()

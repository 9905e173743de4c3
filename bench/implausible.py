"""Whether noise is told from text: what is said of texts that pages can have, and of such that none has.

    python -m bench.implausible [--languages FOLDER] [FILE...]
    python -m bench.implausible --table PROFILES

The texts here are written for it. FOLDER has language samples as the package gflanguages has them (its data/languages,
with articles of the declaration of human rights), FILEs are texts, looked at in windows of a page. The last form prints
the bits of `ocr.checking.trigrams`, of the profiles of langdetect.
"""

import argparse
import base64
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from ocr.checking.plausible import implausible
from ocr.checking.trigrams import ALPHABET, LETTERS, SHARE

WINDOW = 2500  # characters of a page
LANGUAGES = "af ca cs cy da de en es et fi fr hr hu id it lt lv nl no pl pt ro sk sl so sq sv sw tl tr vi"  # in Latin
NOISE = 10  # of the recorded pages of noise that are told; the others are short, or too near to words

PAGES = Path(__file__).parent / "implausible_pages"


def written() -> Iterator[tuple[str, str]]:
    """The texts in the file for them, each with its name."""
    for text in (PAGES / "texts.txt").read_text().split("\f"):
        name, _, rest = text.partition("\n")
        yield name, rest


TEXTS: Mapping[str, str] = {
    **dict(written()),
    "constants": "\n".join(
        f"#define R_QUAY_{n}X{n % 7}  0x{n * 41:02x}  /* GetBerthDepthEx, quay{n}.h */" for n in range(40)
    ),
    "numbers": "\n".join(" ".join(f"{row * column * 1.37:.2f}" for column in range(1, 9)) for row in range(1, 30)),
    "zeros": "0.00 0.00 0.00 0 - - - 0.00\n" * 60,
    "yes and no": "\n".join(f"{n}. Is the {'keel' if n % 2 else 'mast'} sound? yes no n/a" for n in range(48)),
    "table": "<table>" + "<tr><td>Berth</td><td>9.40 m</td><td>188.00</td></tr>" * 30 + "</table>",
    "part numbers": "\n".join(f"PN-{n * 7919 % 10**5:05d}-A{n} bolt M{n}x20 QTY {n}" for n in range(1, 60)),
    "formulas": r"Let \(x_{i}\) be the draught. \[ \sum_{i=1}^{n} \frac{x_i^2}{\sigma} = \int_0^\infty e^{-t}\,dt \] "
    * 12,
    "chemistry": "NaCl KMnO4 H2SO4 CaCO3 C6H12O6 CH3COOH Fe2O3 AgNO3 NH4Cl Al2O3 CuSO4 HNO3 MgCl2 K2Cr2O7 NaHCO3 " * 3,
    "addresses": "\n".join(
        f"https://harbour.example/{n:x}fa{n}?quay={n}&key=Xy{n}Zq master{n}@port.example" for n in range(40)
    ),
    "initials": "\n".join(f"{a}. {a}. Larsen, {a}. O'Hara, MacDonald & McKay GmbH" for a in "ABCDEFGHIJKLMNOP"),
}

_RANDOM = Random(21)
_SCRIPTS = ("сток ветер", "सूची घाट", "ท่าเรือ สินค้า", "سفينة ميناء", "船长 货物", "선장 화물", "נמל אוניה")
_TOKENS = [word for script in _SCRIPTS for word in script.split()] + ["the", "ing", "oder", "quay"]

GARBAGE: Mapping[str, str] = {
    "letters in another's place": TEXTS["English"].lower().translate(str.maketrans(ALPHABET[1:], ALPHABET[4:] + "abc")),
    "random letters": " ".join("".join(_RANDOM.choices(ALPHABET[1:], k=_RANDOM.randint(2, 9))) for _ in range(150)),
    "random tokens": " ".join(_RANDOM.choices(_TOKENS, k=120)),
    "a syllable again and again": "la" * 600,
    "a word again and again": "harbour " * 200,
    "a sentence again and again": TEXTS["German"][:60] * 60,
    "an ideograph again and again": "港" * 600,
    "UTF-8 read as Windows-1252": (TEXTS["Vietnamese"]).encode().decode("cp1252", "replace"),
    "UTF-8 read as Latin-1": TEXTS["Russian"].encode().decode("latin-1"),
    "replacement characters": "Th� h�rb��r �ff�c� k��ps � l�st �f �v�r� sh�p",
    "private use": "".join(chr(0xE000 + n % 200) for n in range(300)),
}


def noise() -> list[str]:
    """Pages of what the embedded model wrote of reports, photographs and charts, which it cannot read."""
    return (PAGES / "noise.txt").read_text().split("\f")


def samples(folder: Path) -> Iterator[tuple[str, str]]:
    """The longest sample of each language, each of its paragraphs once."""
    for path in sorted(folder.glob("*.textproto")):
        found = re.search(r'specimen_16: "(.*)"', path.read_text())
        if found:
            text = found[1].replace("\\n", "\n").replace("\\'", "'")
            yield path.stem, "\n".join(dict.fromkeys(text.splitlines()))


def windows(paths: list[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        text = path.read_text(errors="replace")
        yield from ((f"{path.name} at {at}", text[at : at + WINDOW]) for at in range(0, len(text), WINDOW))


def table(profiles: Path) -> str:
    """The bits of the trigrams that are more than SHARE of any language's, as `ocr.checking.trigrams` has them."""
    bits = bytearray((len(ALPHABET) ** 3 + 7) // 8)
    for language in LANGUAGES.split():
        counts: Counter[str] = Counter()
        for gram, count in json.loads((profiles / language).read_text())["freq"].items():
            plain = unicodedata.normalize("NFKD", gram.lower().translate(LETTERS))
            plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
            if len(gram) == len(plain) == 3 and set(plain) <= set(ALPHABET) and "  " not in plain and plain[1] != " ":
                counts[plain] += count
        for gram, count in counts.items():
            if count > SHARE * sum(counts.values()):
                number = (ALPHABET.index(gram[0]) * 27 + ALPHABET.index(gram[1])) * 27 + ALPHABET.index(gram[2])
                bits[number >> 3] |= 1 << (number & 7)
    return base64.b85encode(bytes(bits)).decode()


def row(kind: str, texts: list[tuple[str, str]]) -> str:
    told = [name for name, text in texts if implausible(text)]
    return f"| {kind} | {len(texts)} | {len(told)} | {', '.join(told[:8])} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--languages", type=Path)
    options.add_argument("--table", type=Path)
    options.add_argument("files", type=Path, nargs="*")
    given = options.parse_args()
    if given.table:
        print(table(given.table))
        return
    print("| texts | of them | told | which |\n|---|---|---|---|")
    print(row("written here", list(TEXTS.items())))
    if given.languages:
        print(row("languages", list(samples(given.languages))))
    if given.files:
        print(row("windows of files", list(windows(given.files))))
    print(row("garbage", list(GARBAGE.items())))
    print(row("noise of the embedded model", [(str(number), text) for number, text in enumerate(noise(), start=1)]))


if __name__ == "__main__":
    main()

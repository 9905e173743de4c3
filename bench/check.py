"""How much of what a model may do to a page `check` finds, and how often it is wrong about an untouched one.

    python -m bench.check [--edits 200] [--images ../shared/images]

The model is played by the truth: a PDF's text layer, typed text, or what was drawn here. The lines are read on the
page's pixels by the networks of pp-ocr, once. Each edit is one random change of the answer; it counts as found where
what the check says shares at least half of what is gone or came. False alarms are what it says of an untouched page.
"""

import argparse
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

import pypdfium2
from PIL import Image, ImageDraw, ImageFont

from ocr.checking.comparison import check
from ocr.checking.signs import Alphabet
from ocr.lines.networks import CHECKPOINT
from ocr.lines.reader import LineReader
from ocr.types import Check, Element, Line
from ocr.weights.installation import CHECKPOINTS

SENTENCES = """\
The river rose by 47 cm in the night of 3 March and flooded two cellars in the lower town.
Tickets bought before 31 May keep their price, which is 12.50 euros for adults and 7 for children.
Nobody at the station could say when the next train to the coast would leave.
The committee met 14 times, heard 63 witnesses and published its findings in the autumn.
Its walls are of brick, its roof of slate, and the garden behind it slopes down to a pond.
Of 1,240 seeds that were sown, 1,017 came up within nine days.
She kept the letters in a tin box and showed them to visitors who asked politely.
The contract ends on 30 September 2027 unless it is renewed in writing 6 weeks before.
Wheat was dear that year, and many bakers mixed it with rye or with barley.
Engines of this series weigh 385 kg and turn at no more than 2,800 revolutions a minute.
A second survey, made with better instruments, moved the summit 18 metres to the east.
Please send the form with both signatures to the office named at the head of this page.
The museum opens at 9:30 and closes at 17:45, on Thursdays at 20:00.
Most of the harvest was lost to frost, and what remained was sold at a third of its worth.
In the third column the sums for 2019 and 2020 are given without tax.
Every door on the upper floor is painted green except the one that leads to the attic.
The dose is 2.5 ml for each 10 kg of body weight, and never more than 15 ml a day.
Old maps show the road north of the mill, where today there is only forest.
""".splitlines()
INVENTED = """\
According to the latest review, these figures were confirmed by independent auditors.
Readers should note that the original manuscript contains several further passages.
This effect was most pronounced among participants older than 75 years.
The remaining 318 items were transferred to the central archive in Vienna.
Further details are available from the publisher upon written request.
""".splitlines()
WORDS = ("harbour", "carpet", "thunder", "walnut", "bishop", "velvet", "orchard", "lantern", "compass", "glacier")
ROWS = [
    ("Harbour dues", "1,204.50", "88.10", "19%"),
    ("Pilotage", "640.00", "35.75", "7%"),
    ("Mooring, 3 days", "97.20", "12.00", "19%"),
    ("Fresh water", "58.40", "8.15", "7%"),
    ("Waste removal", "212.90", "44.60", "19%"),
    ("Crane, 5 hours", "775.00", "61.30", "19%"),
    ("Storage", "330.80", "20.45", "19%"),
    ("Customs papers", "45.00", "3.90", "0%"),
    ("Night shift", "418.60", "52.25", "19%"),
    ("Insurance", "1,086.35", "77.70", "0%"),
]


@dataclass(frozen=True)
class Page:
    """A page, and what it says as elements."""

    name: str
    image: Image.Image
    elements: tuple[Element, ...]


def pages(images: Path) -> Iterator[Page]:
    """Pages that are kept beside their text, those of `images` where it is there, and drawn ones."""
    for path in sorted(Path("examples").glob("*.md")):
        picture = next(other for other in path.parent.glob(f"{path.stem}.*") if other != path)
        yield Page(picture.name, Image.open(picture).convert("RGB"), plain(path.read_text()))
    if images.is_dir():
        truth = Path(__file__).parent / "check_pages" / "paper_page.md"
        yield Page(
            "paper page", Image.open(images / "paper_page_1700x2250.jpg").convert("RGB"), plain(truth.read_text())
        )
        pdf = pypdfium2.PdfDocument(images / "paper_demo.pdf")
        for number, page in enumerate(pdf, 1):
            text = page.get_textpage().get_text_bounded()
            yield Page(f"Chinese calendar, page {number}", page.render(scale=200 / 72).to_pil(), plain(text))
    yield drawn("drawn: one column", [(100, 1000, SENTENCES[:9] + SENTENCES[12:15])])
    yield drawn("drawn: two columns", [(70, 470, SENTENCES[:9]), (580, 470, SENTENCES[9:])])
    yield drawn("drawn: text and table", [(100, 1000, SENTENCES[4:8])], ROWS)
    yield drawn("drawn: table of small print", [], ROWS * 2, size=15)


def plain(text: str) -> tuple[Element, ...]:
    """An answer that is text alone."""
    return (Element("text", "", None, text),)


def drawn(
    name: str, columns: Sequence[tuple[int, int, Sequence[str]]], rows: Sequence[Sequence[str]] = (), size: int = 22
) -> Page:
    """A page of columns, each at an x, so wide and of these sentences, three to a paragraph, and a table below them."""
    image = Image.new("RGB", (1200, 1500), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    elements = []
    lowest = 90
    for left, width, sentences in columns:
        top = 90
        for first in range(0, len(sentences), 3):
            words = " ".join(sentences[first : first + 3]).split()
            text = " ".join(words)
            bottom = _write(draw, words, (left, top), width, font)
            elements.append(Element("text", "text", (left, top, left + width, bottom), text))
            top = bottom + size
        lowest = max(lowest, top)
    if rows:
        for number, row in enumerate(rows):
            for x, cell in zip((100, 480, 700, 900), row, strict=True):
                draw.text((x, lowest + number * size * 1.7), cell, "black", font)
        cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        box = (100.0, float(lowest), 1000.0, lowest + len(rows) * size * 1.7)
        elements.append(Element("table", "table", box, f"<table>{cells}</table>"))
    return Page(name, image, tuple(elements))


def _write(
    draw: ImageDraw.ImageDraw,
    words: Sequence[str],
    at: tuple[float, float],
    width: float,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> float:
    """Write words in lines of this width; give the y below them."""
    x, y = at
    line: list[str] = []
    for word in [*words, ""]:
        if not word or draw.textlength(" ".join([*line, word]), font) > width:
            draw.text((x, y), " ".join(line), "black", font)
            y += font.size * 1.4  # type: ignore[union-attr]
            line = []
        line.append(word)
    return y


# An edit: the answer changed, what is gone, and what came in its place.
Edited = tuple[tuple[Element, ...], str, str]
Edit = Callable[[random.Random, tuple[Element, ...]], Edited | None]
_LINE = re.compile(r"<tr>.*?</tr>|[^\n<>]*\w[^\n<>]*(?=\n|\Z)", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?] )[A-Z][^\n<>]{25,}?[.!?](?=\s|\Z)")


def _replaced(
    chance: random.Random,
    elements: tuple[Element, ...],
    pattern: str | re.Pattern[str],
    change: Callable[[re.Match[str]], tuple[str, str, str] | None],
) -> Edited | None:
    """Change one random match: `change` gives the text in its place, what of it is gone, and what came."""
    matches = [(n, match) for n, element in enumerate(elements) for match in re.finditer(pattern, element.text)]
    if not matches:
        return None
    number, match = chance.choice(matches)
    changed = change(match)
    if changed is None:
        return None
    text = elements[number].text
    edited = replace(elements[number], text=text[: match.start()] + changed[0] + text[match.end() :])
    return (*elements[:number], edited, *elements[number + 1 :]), changed[1], changed[2]


def drop_line(chance: random.Random, elements: tuple[Element, ...]) -> Edited | None:
    """A line of plain text, a sentence of a paragraph or a row of a table is gone."""
    has_sentences = any(_SENTENCE.search(element.text) for element in elements)
    pattern = _SENTENCE if has_sentences and chance.random() < 0.5 else _LINE
    return _replaced(chance, elements, pattern, lambda match: ("", match[0], "") if _says(match[0]) else None)


def add_sentence(chance: random.Random, elements: tuple[Element, ...]) -> Edited | None:
    """A sentence that is not on the page stands after one that is, or between two rows."""
    invented = chance.choice(INVENTED)
    return _replaced(
        chance,
        elements,
        r"(?<=[.!?])\s|\n(?!<)|(?=</table>)",
        lambda match: (f" {invented} " if match[0] else f"<tr><td>{invented}</td></tr>", "", invented),
    )


def alter_digit(chance: random.Random, elements: tuple[Element, ...]) -> Edited | None:
    """One digit of a number is another one."""

    def change(match: re.Match[str]) -> tuple[str, str, str]:
        places = [place for place, sign in enumerate(match[0]) if sign.isdigit()]
        place = chance.choice(places)
        digit = chance.choice([d for d in "0123456789" if d != match[0][place]])
        new = match[0][:place] + digit + match[0][place + 1 :]
        return new, match[0], new

    return _replaced(chance, elements, r"(?<![&#\w])\d[\d.,:]*(?!\w)", change)


def swap_word(chance: random.Random, elements: tuple[Element, ...]) -> Edited | None:
    """A word of at least four letters is another one."""
    new = chance.choice(WORDS)
    return _replaced(chance, elements, r"(?<![<&/\w])[A-Za-z]{4,}(?![\w>])", lambda match: (new, match[0], new))


def repeat_paragraph(chance: random.Random, elements: tuple[Element, ...]) -> Edited | None:
    """Some lines, rows or a whole element stand there twice."""
    if len(elements) > 1:
        number = chance.randrange(len(elements))
        again = (*elements[: number + 1], elements[number], *elements[number + 1 :])
        return again, "", elements[number].text
    pattern = re.compile(r"(?:<tr>.*?</tr>\s*){3}|(?:[^\n<>]*\S[^\n<>]*\n){2,3}", re.DOTALL)
    return _replaced(chance, elements, pattern, lambda match: (match[0] * 2, "", match[0]))


EDITS: Mapping[str, Edit] = {
    "line dropped": drop_line,
    "sentence added": add_sentence,
    "digit altered": alter_digit,
    "word swapped": swap_word,
    "paragraph repeated": repeat_paragraph,
}


def _says(text: str) -> bool:
    return len(_plain(text)) >= 3


def _plain(text: str) -> str:
    return Alphabet().signs(re.sub(r"<[^<>]*>", " ", text)).signs


def is_found(found: Check, gone: str, come: str) -> bool:
    """Whether the check names an edit: what is gone as omitted or conflict, what came as unsupported or conflict."""
    gone, come = _plain(gone), _plain(come)
    lines = [_plain(each.text) for each in found.omitted] + [_plain(each.line) for each in found.conflicts]
    answers = [_plain(each.text) for each in found.unsupported] + [_plain(each.answer) for each in found.conflicts]
    return _names(gone, lines) or _names(come, answers)


def _names(edit: str, findings: Sequence[str]) -> bool:
    """Whether the findings hold at least half of the edit, each the longest piece that it shares with it."""
    if not edit:
        return False
    shared = [SequenceMatcher(None, edit, each, autojunk=False).find_longest_match().size for each in findings]
    return sum(shared) >= len(edit) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=60, help="of each kind, on each page")
    parser.add_argument("--images", type=Path, default=Path("../shared/images"))
    given = parser.parse_args()
    reader = LineReader.load(CHECKPOINTS / CHECKPOINT, threads=1)
    print(f"| page | lines | {' | '.join(EDITS)} | false alarms | ms |\n|---|---|{'---|' * len(EDITS)}---|---|")
    for page in pages(given.images):
        lines = list(reader.read(page.image))
        print(row(page, lines, reader.dictionary, given.edits), flush=True)


def row(page: Page, lines: Sequence[Line], letters: frozenset[str], edits: int) -> str:
    """A line of the table: of each kind of edit how many were found, and what is said of the page untouched."""
    began = time.process_time()
    untouched = check(lines, page.elements, letters)
    took = time.process_time() - began
    cells = []
    for name, edit in EDITS.items():
        chance = random.Random(f"{page.name} {name}")
        edited = [changed for _ in range(edits) if (changed := edit(chance, page.elements))]
        found = sum(is_found(check(lines, answer, letters), gone, come) for answer, gone, come in edited)
        cells.append(f"{found} of {len(edited)}")
    return f"| {page.name} | {len(lines)} | {' | '.join(cells)} | {untouched.disagreements} | {1000 * took:.0f} |"


if __name__ == "__main__":
    main()

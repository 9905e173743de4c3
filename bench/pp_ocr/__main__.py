"""pp-ocr beside Tesseract on whole pages: characters wrong, processor seconds, memory, and how alike the markdown is.

    python -m bench.pp_ocr [--images ../shared/images] [NAME ...]

The pages are drawn here (bench/pp_ocr/sheets.py), come with the project (examples/) or are kept in the folder of
images; the truth is what was drawn, what was typed, or a PDF's text layer. Each reader gets each page in a process of
its own, on one thread. Characters are compared without white space, with the variants of dashes, quotation marks and
wide signs folded: `wrong` is the edit distance in reading order to the length of the truth, `wherever they stand`
leaves the order out. `first` are the processor seconds from the start of the process to the first line of text. TEDS is
1 for the same tree of headings, paragraphs, lists and tables (bench/pp_ocr/trees.py). Tesseract is Debian's
`tesseract-ocr`; without it, or its language, its columns stay empty.
"""

import argparse
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from PIL import Image
from rapidfuzz.distance import Levenshtein

from bench.pp_ocr.sheets import SCANNED, SHEETS, STATEMENT
from bench.pp_ocr.trees import teds
from bench.pp_ocr.typesetting import draw, markdown, plain, scanned

PROJECT = Path(__file__).resolve().parent.parent.parent
DPI = 200  # at which PDFs are drawn
BULLETS = r"[•●○◦▪■□‣·*]"


@dataclass(frozen=True)
class Truth:
    """A page with what is on it."""

    name: str
    image: Image.Image
    text: str
    markdown: str = ""  # where its structure is known, too
    language: str = "eng"  # Tesseract's


@dataclass(frozen=True)
class Reading:
    """What a process made of a page, and what it took."""

    output: str
    seconds: float  # of the processor, from start to end
    peak: float  # MB


def drawn() -> Iterator[Truth]:
    """The pages of this benchmark."""
    for name, sheet in SHEETS.items():
        image = scanned(draw(sheet)) if name in SCANNED else draw(sheet)
        yield Truth(name, image, plain(sheet), markdown(sheet), "chi_sim" if name == "Chinese" else "eng")


def kept(images: Path) -> Iterator[Truth]:
    """The pages that came from elsewhere."""
    examples = PROJECT / "examples"
    scan = examples / "statement.jpg"
    yield Truth(f"examples/{scan.name}", Image.open(scan).convert("RGB"), plain(STATEMENT), markdown(STATEMENT))
    for path in sorted({*examples.glob("*.[pj][np]g")} - {scan}):
        yield Truth(f"examples/{path.name}", Image.open(path).convert("RGB"), path.with_suffix(".md").read_text())
    paper = images / "paper_page_1700x2250.jpg"
    if not paper.exists():
        print(f"Left out: the pages in {images}, which is not there.\n")
        return
    typed = PROJECT / "bench" / "check_pages" / "paper_page.md"
    yield Truth(paper.name, Image.open(paper).convert("RGB"), typed.read_text())
    pdf = pypdfium2.PdfDocument(images / "paper_demo.pdf")
    for number, page in enumerate(pdf, start=1):
        image = page.render(scale=DPI / 72).to_pil().convert("RGB")
        yield Truth(f"paper_demo.pdf, {number}", image, page.get_textpage().get_text_bounded(), language="chi_tra")


def signs(text: str) -> str:
    """A page's text as it is compared: marks of markdown and HTML, white space and variants of signs gone."""
    text = re.sub(r"</?(?:table|tr|td)(?: [^>]*)?>", " ", text)
    text = re.sub(rf"^\s*(?:#+|{BULLETS}|[-–—](?=\s))\s*", "", html.unescape(text), flags=re.MULTILINE)
    text = unicodedata.normalize("NFKC", text)
    for variants, plain_sign in (("[‐‑‒–—−]", "-"), ("[“”„″]", '"'), ("[‘’‚′`´]", "'"), (r"\s|[\u00ad\ufffe]", "")):
        text = re.sub(variants, plain_sign, text)
    return text


def wrong(truth: str, text: str) -> tuple[float, float]:
    """The share of characters that are wrong: in reading order, and wherever they stand."""
    one, other = signs(truth), signs(text)
    missing, added = Counter(one) - Counter(other), Counter(other) - Counter(one)
    return Levenshtein.distance(one, other) / len(one), max(missing.total(), added.total()) / len(one)


def run(command: Sequence[str]) -> Reading:
    """A command run on one thread, with what it printed and took. Raises CalledProcessError where it fails."""
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=output, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0), errors.seek(0)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, stderr=errors.read().decode()[-2000:])
        return Reading(output.read().decode(), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def tesseract_languages() -> set[str]:
    """What Tesseract can read here; nothing where it is not installed."""
    if not shutil.which("tesseract"):
        return set()
    return set(run(["tesseract", "--list-langs"]).output.split("\n")[1:])


def row(page: Truth, languages: set[str], file: Path) -> str:
    """The page's line of the table."""
    page.image.save(file)
    ours = run([sys.executable, "-m", "bench.pp_ocr.reading", str(file)])
    answer = json.loads(ours.output)
    cells = [page.name, str(len(signs(page.text)))]
    cells += [f"{share:.2%}" for share in wrong(page.text, answer["text"])]
    cells += [f"{teds(answer['markdown'], page.markdown):.3f}" if page.markdown else ""]
    cells += [f"{answer['seconds']:.1f}", f"{answer['first']:.1f}", f"{ours.peak:.0f}"]
    if page.language in languages:
        theirs = run(["tesseract", str(file), "stdout", "-l", page.language, "--dpi", str(DPI)])
        cells += [f"{share:.2%}" for share in wrong(page.text, theirs.output)]
        cells += [f"{theirs.seconds:.1f}", f"{theirs.peak:.0f}"]
    else:
        cells += [""] * 4
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare pp-ocr with Tesseract on pages whose text is known.")
    parser.add_argument("names", nargs="*", help="the pages to read; all unless given")
    parser.add_argument("--images", type=Path, default=PROJECT.parent / "shared" / "images")
    arguments = parser.parse_args()
    languages = tesseract_languages()
    if not languages:
        print("Left out: Tesseract, which is not installed (Debian's tesseract-ocr).\n")
    columns = ["page", "characters", "wrong", "wherever they stand", "TEDS", "s", "first s", "MB"]
    columns += ["Tesseract: wrong", "wherever they stand", "s", "MB"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    with tempfile.TemporaryDirectory() as folder:
        for page in (*drawn(), *kept(arguments.images)):
            if not arguments.names or page.name in arguments.names:
                print(row(page, languages, Path(folder, "page.png")), flush=True)


if __name__ == "__main__":
    main()

"""Pages a second of decoding and drawing alone, with no model: eleven kinds of file, this checkout against another one.

    python -m bench.documents --before ../another/checkout [--rounds 9]

The files are drawn here. Each round reads every kind in both checkouts, in turns, each in a process of its own that has
read the file once before. A page counts when it is upright RGB and its blank test is over, as where a model would be
asked. Time is processor time, the processes that draw counted in: it hardly depends on what else the machine does.
The best round of each counts.
"""

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAGES = 8
SIZE = (1240, 1754)  # px, A4 at 150 dpi
LINES = 60
MEASURE = '''
import os, resource, sys
from pathlib import Path
from ocr.documents.blank import is_blank
from ocr.documents.document import open_document
from ocr.settings import Settings

def seconds():
    """Of processor time: of this process, of those that it started and that are over, and of those that still run."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    running = Path("/proc/self/task", str(os.getpid()), "children").read_text().split()
    fields = [Path("/proc", child, "stat").read_text().rsplit(")", 1)[1].split() for child in running]
    ticks = sum(int(field[11]) + int(field[12]) for field in fields)  # of all their threads
    return sum(one.ru_utime + one.ru_stime for one in used) + ticks / os.sysconf("SC_CLK_TCK")

def read():
    for _, page in open_document(Path(sys.argv[1]), "", Settings()):
        if getattr(page, "is_blank", None) or (not hasattr(page, "is_blank") and is_blank(page)):
            raise SystemExit("a page is blank")
        yield page

count = sum(1 for _ in read())
times = max(3, 24 // count)
start = seconds()
for _ in range(times):
    sum(1 for _ in read())
print(times * count / (seconds() - start))
'''


def page(number: int) -> Image.Image:
    """A page of text on a slightly uneven sheet."""
    sheet = np.random.default_rng(number).integers(240, 256, (*SIZE[::-1], 3), np.uint8)
    image = Image.fromarray(sheet)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    for line in range(LINES):
        draw.text(
            (80, 100 + 26 * line), f"{number}.{line} The quick brown fox jumps over the lazy dog. " * 2, "black", font
        )
    return image


def saved(format_: str, mode: str = "RGB", count: int = 1, **options: object) -> bytes:
    """A file of this format with so many pages."""
    first, *others = (page(number).convert(mode) for number in range(count))
    file = io.BytesIO()
    first.save(file, format_, **options, **({"save_all": True, "append_images": others} if others else {}))
    return file.getvalue()


def text_pdf() -> bytes:
    """A PDF of text in Helvetica and Times, which it does not embed, and rules."""
    fonts = [b"<</Type/Font/Subtype/Type1/BaseFont/%s>>" % name for name in (b"Helvetica", b"Times-Roman")]
    contents = [b"".join(_line(number, line) for line in range(LINES)) for number in range(PAGES)]
    kids = range(5, 5 + 2 * PAGES, 2)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(b"%d 0 R" % kid for kid in kids), PAGES),
        *fonts,
    ]
    for kid, content in zip(kids, contents, strict=True):
        resources = b"/Resources<</Font<</F0 3 0 R/F1 4 0 R>>>>"
        objects.append(b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R%s>>" % (kid + 1, resources))
        objects.append(b"<</Length %d>>\nstream\n%s\nendstream" % (len(content), content))
    body, starts = b"%PDF-1.7\n", []
    for number, object_ in enumerate(objects, start=1):
        starts.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, object_)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    end = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table) + end


def _line(number: int, line: int) -> bytes:
    y = 800 - 12 * line
    text = b"%d.%d The quick brown fox jumps over the lazy dog, and back again." % (number, line)
    return b"BT /F%d 10 Tf 40 %d Td (%s) Tj ET 40 %d 500 .5 re f\n" % (line % 2, y, text, y - 3)


def deep_tiff() -> bytes:
    levels = np.asarray(page(0).convert("L")).astype(np.uint16) * 257
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "TIFF", compression="tiff_lzw")
    return file.getvalue()


KINDS: Mapping[str, Callable[[], bytes]] = {
    "PNG": lambda: saved("PNG"),
    "PNG, palette": lambda: saved("PNG", "P"),
    "JPEG": lambda: saved("JPEG"),
    "WebP": lambda: saved("WEBP"),
    "AVIF": lambda: saved("AVIF", speed=10),
    "JPEG 2000": lambda: saved("JPEG2000"),
    f"TIFF, LZW, {PAGES} pages": lambda: saved("TIFF", count=PAGES, compression="tiff_lzw"),
    f"TIFF, fax, {PAGES} pages": lambda: saved("TIFF", "1", count=PAGES, compression="group4"),
    "TIFF, grey of 16 bits": deep_tiff,
    f"PDF, scans, {PAGES} pages": lambda: saved("PDF", count=PAGES, resolution=150),
    f"PDF, text, fonts not embedded, {PAGES} pages": text_pdf,
}


def speed(checkout: Path, file: Path) -> float:
    """Pages a second of processor time."""
    command = [sys.executable, "-c", MEASURE, str(file)]
    return float(subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the decoding and drawing of two checkouts.")
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    checkouts = (arguments.before, Path(__file__).resolve().parent.parent)
    print("| file | pages a second before | after | after, against before |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kind, draw in KINDS.items():
            file = Path(folder, "file")
            file.write_bytes(draw())
            rounds = [[speed(checkout, file) for checkout in checkouts] for _ in range(arguments.rounds)]
            before, after = (max(column) for column in zip(*rounds, strict=True))
            print(f"| {kind} | {before:.1f} | {after:.1f} | {after / before:.2f} |", flush=True)


if __name__ == "__main__":
    main()

"""The formats of documents: which are read, within which limits, and the names of others. Knows no decoder."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ocr.errors import choices


@dataclass(frozen=True)
class Format:
    """One format that is read."""

    name: str  # as people know it
    suffixes: tuple[str, ...]  # how the names of its files end
    pages: str  # what of a file is a page
    samples: str  # the colors and depths that are read
    limits: str = ""  # what is refused, or read otherwise than it stands


# By the name that Pillow has for it; PDF and HEIF are read without Pillow.
FORMATS: Mapping[str, Format] = {
    "PDF": Format(
        "PDF",
        (".pdf",),
        "each page",
        "any",
        "drawn at `dpi`, or at a lower resolution if the page would exceed OCR_MAX_PIXELS; password-protected PDFs "
        "only from the command line and Python; of dynamic XFA forms only the placeholder",
    ),
    "TIFF": Format(
        "TIFF/BigTIFF",
        (".tif", ".tiff"),
        "each full picture, but not reduced copies and masks",
        "grey, RGB, palette, CMYK, YCbCr, Lab of 8 bits; grey, RGB, CMYK of up to 64 bits, signed and float too, with "
        "or without alpha, in planes or not",
        "no raw camera data, no LogLuv, no volumes; at most 10,000 pictures",
    ),
    "PNG": Format("PNG", (".png", ".apng"), "the first frame", "all: 1 to 16 bits, transparent levels and colors"),
    "JPEG": Format(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        "the first picture",
        "grey, RGB, CMYK of 8 bits, arithmetic coding and lossless too; grey and YCbCr of 12 bits",
    ),
    "JPEG2000": Format(
        "JPEG 2000",
        (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
        "the only one",
        "grey and RGB of 1 to 16 bits, with or without alpha",
    ),
    "WEBP": Format("WebP", (".webp",), "the first frame", "all"),
    "GIF": Format("GIF", (".gif",), "the first frame", "all"),
    "BMP": Format("BMP", (".bmp",), "the only one", "all; an image whose alpha is 0 everywhere is read as opaque"),
    "PPM": Format(
        "PBM/PGM/PPM/PFM",
        (".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
        "the first",
        "grey and RGB of 1 to 16 bits; grey floats from 0 to 1",
        "no PAM, no PFM in color",
    ),
    "AVIF": Format("AVIF", (".avif", ".avifs"), "the first frame", "all, as 8 bits"),
    "HEIF": Format("HEIC/HEIF", (".heic", ".heif", ".hif", ".heics", ".heifs"), "the main picture", "all, as 8 bits"),
}

RESAVE = "Save it with 8 bits a sample, as PNG for example."
SUFFIXES = frozenset(suffix for format_ in FORMATS.values() for suffix in format_.suffixes)

# What files begin with, after so many bytes, that people send and that are not read.
OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"8BPS", "a Photoshop document"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"II\xbc", "JPEG XR"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"\0\0\x01\0", "an icon"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (40, b" EMF", "a Windows metafile"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"DDS ", "a DirectDraw surface"),
    (0, b"gimp xcf", "a GIMP picture"),
    (0, b"qoif", "QOI"),
    (0, b"P7\n", "PAM"),
    (0, b"PF\n", "PFM in color"),
    (0, b"\x97JB2\r\n\x1a\n", "JBIG2"),
    (0, b"{\\rtf", "a text document (RTF)"),
    (0, b"PK\x03\x04", "a ZIP archive or an Office document"),
    (0, b"\xd0\xcf\x11\xe0", "an Office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (4, b"ftypcrx", "Canon raw camera data"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm raw camera data"),
    (4, b"ftyp", "a film"),
)


def names() -> str:
    """The formats that are read, as they stand in a message."""
    return choices(sorted(format_.name for format_ in FORMATS.values()))


def true_name(start: bytes) -> str | None:
    """What a file that is not read is, from its first 256 bytes; None where it is not known."""
    if start.lstrip().startswith((b"<", b"\xef\xbb\xbf<")):
        return "a web page, SVG or XML"
    if start[128:132] == b"DICM":
        return "DICOM"
    return next((name for offset, mark, name in OTHERS if start.startswith(mark, offset)), None)


PDF_MARK, PDF_WITHIN = b"%PDF-", 1024  # bytes from the start, as readers of damaged files allow
# How files of the other formats begin, each as its decoder wants it; in what follows, "%PDF-" may stand too.
_IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|....ftyp|(II|MM)[\0*+]{2}|P[1-6f]\s"
    rb"|\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    re.DOTALL,
)


def is_pdf(start: bytes) -> bool:
    """Whether a file is a PDF, from its first PDF_WITHIN bytes: other things may stand before it, but no image."""
    return PDF_MARK in start and not _IMAGE.match(start)

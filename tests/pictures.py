"""Pictures that tests make: the reference's noise pages, and small plain ones."""

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

GOLDEN_SIZES = {
    "portrait": (1240, 1754),
    "landscape": (1600, 900),
    "tiny": (300, 200),
    "exact640": (640, 640),
    "edge641": (641, 480),
    "square1000": (1000, 1000),
    "wide": (2400, 400),
    "tall": (500, 3100),
    "huge": (3508, 4961),
    "odd": (777, 1011),
    "small_tall": (150, 630),
}


def golden_picture(name: str) -> Image.Image:
    """The picture of this name that the reference's pixels were made from: grey, sixty bars, noise."""
    width, height = GOLDEN_SIZES[name]
    random = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)
    levels = np.full((height, width, 3), 245, np.int32)
    for _ in range(60):
        x, y = random.randint(0, width), random.randint(0, height)
        bar_width = 1 + random.randint(0, max(1, width // 3))
        bar_height = 1 + random.randint(0, max(1, height // 40 + 1))
        levels[y : y + bar_height, x : x + bar_width] = random.randint(0, 256, 3)
    levels += random.randint(-10, 11, (height, width, 3))
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def page(width: int = 200, height: int = 120) -> Image.Image:
    """A small white page with a dark bar."""
    image = Image.new("RGB", (width, height), "white")
    image.paste((20, 20, 20), (10, 10, width - 10, 30))
    return image


def encoded(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    """The picture as a file's bytes."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    """A file as the data: URL that a client uploads it in."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is this large and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")

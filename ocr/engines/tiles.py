"""A page cut into square tiles, of a grid in its own shape. Knows pixels alone; no torch."""

from PIL import Image


def tile_grid(width: int, height: int, *, tile: int, fewest: int, most: int) -> tuple[int, int]:
    """The grid (columns, rows) of `fewest` to `most` tiles, `tile` px each, whose shape is nearest to the page's.

    On an exact tie the later grid, in order of area, wins if the page has more than half the grid's pixels.
    Source: `find_closest_aspect_ratio` and `dynamic_preprocess` of DeepSeek-OCR's and GOT-OCR's makers.
    """
    grids = [(c, r) for c in range(1, most + 1) for r in range(1, most + 1)]
    grids = sorted((g for g in grids if fewest <= g[0] * g[1] <= most), key=lambda grid: grid[0] * grid[1])
    best, smallest = (1, 1), float("inf")
    for columns, rows in grids:
        difference = abs(width / height - columns / rows)
        is_large = width * height > 0.5 * tile * tile * columns * rows
        if difference < smallest or (difference == smallest and is_large):
            best, smallest = (columns, rows), difference
    return best


def tiles(
    page: Image.Image, tile: int, columns: int, rows: int, resample: int = Image.Resampling.BICUBIC
) -> list[Image.Image]:
    """An RGB page stretched over such a grid and cut, row by row."""
    resized = page.resize((tile * columns, tile * rows), Image.Resampling(resample))
    corners = [(tile * column, tile * row) for row in range(rows) for column in range(columns)]
    return [resized.crop((x, y, x + tile, y + tile)) for x, y in corners]

"""The region of a page that dots.ocr is asked to read, in the pixels that it sees."""

from ocr.engines.regions import read_box


def region(words: str, page: tuple[int, int], seen: tuple[int, int]) -> str:
    """The box `x1,y1,x2,y2` in pixels of the page as the prompt has it: `[x1, y1, x2, y2]` in pixels the model sees.

    `page` and `seen` are (width, height). Raises InputError for anything but four numbers in order inside the page.
    """
    x1, y1, x2, y2 = read_box(words, page)
    (width, height), (seen_width, seen_height) = page, seen
    scaled = (x1 * seen_width / width, y1 * seen_height / height, x2 * seen_width / width, y2 * seen_height / height)
    return str([int(side) for side in scaled])  # the makers round down too

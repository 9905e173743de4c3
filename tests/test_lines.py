"""Lines of print: found, cut out, read. The networks stand for themselves in test_lines_real.py."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from ocr.errors import SetupError
from ocr.lines import networks
from ocr.lines.components import outlines
from ocr.lines.detection import frames_of, in_rows, seen_size
from ocr.lines.networks import OnnxNetwork
from ocr.lines.orientation import turn_probabilities
from ocr.lines.reader import LineReader
from ocr.lines.recognition import HEIGHT, cut_out, decoded
from ocr.lines.rectangles import Rectangle, least_rectangle
from ocr.weights import table
from ocr.weights.table import Checkpoint, File
from tests.print import SIGNS, page, reader, spelled


def pixels(drawing: str) -> np.ndarray:
    return np.array([[sign == "#" for sign in row] for row in drawing.split()])


def flooded(bitmap: np.ndarray) -> set[frozenset[tuple[int, int]]]:
    """The 8-connected parts, the plain way."""
    left = {(int(x), int(y)) for y, x in np.argwhere(bitmap)}
    parts = set()
    while left:
        part, edge = set(), [left.pop()]
        while edge:
            x, y = edge.pop()
            part.add((x, y))
            near = {(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)} & left
            left -= near
            edge += near
        parts.add(frozenset(part))
    return parts


def ends(part: frozenset[tuple[int, int]]) -> set[tuple[int, int]]:
    """The pixels of a part with none of it on one side."""
    return {(x, y) for x, y in part if (x - 1, y) not in part or (x + 1, y) not in part}


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_the_parts_of_a_bitmap_are_those_that_flooding_finds(bitmap: np.ndarray) -> None:
    found = [{(int(x), int(y)) for x, y in points} for points in outlines(bitmap)]
    assert sorted(map(sorted, found)) == sorted(sorted(ends(part)) for part in flooded(bitmap))


@pytest.mark.parametrize(
    ("drawing", "count"),
    [
        ("#. .#", 1),  # by a corner
        ("#.. ..#", 2),
        ("#.#.# #.#.# #####", 1),  # a comb
        ("##### #...# #.#.# #...# #####", 2),  # one in the hole of the other
        ("...", 0),
    ],
)
def test_parts_hang_together_by_sides_and_corners(drawing: str, count: int) -> None:
    assert len(list(outlines(pixels(drawing)))) == count


@given(st.floats(-89, 89), st.floats(2, 100), st.floats(2, 100))
def test_the_least_rectangle_is_the_one_that_was_drawn(degrees: float, width: float, height: float) -> None:
    angle = math.radians(degrees)
    drawn = Rectangle(np.array((50.0, 70.0)), np.array((math.cos(angle), math.sin(angle))), width, height)
    found = least_rectangle(np.concatenate((drawn.corners, drawn.corners * 0.3 + drawn.middle * 0.7)))
    assert found.width * found.height == pytest.approx(width * height, rel=1e-6)
    assert sorted((found.width, found.height)) == pytest.approx(sorted((width, height)), rel=1e-5)
    assert found.middle == pytest.approx(drawn.middle)


@given(arrays(float, st.tuples(st.integers(1, 30), st.just(2)), elements=st.integers(0, 40).map(float)))
def test_the_least_rectangle_holds_all_points_and_is_no_larger_than_the_upright_one(points: np.ndarray) -> None:
    found = least_rectangle(points)
    assert found.holds(points).all()
    assert found.width * found.height <= np.prod(np.ptp(points, axis=0)) + 1e-6


def test_corners_go_round_from_the_upper_left() -> None:
    upright = Rectangle(np.array((10.0, 20.0)), np.array((0.0, 1.0)), 4, 8).corners  # its width runs downward
    assert upright.tolist() == [[6, 18], [14, 18], [14, 22], [6, 22]]


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((1700, 2250), (1504, 1984)),  # shrunk to 2000 at most, in multiples of 32
        ((640, 640), (736, 736)),  # enlarged until the shorter side has 736
        ((300, 300), (608, 608)),  # by twice at most
        ((640, 200), (1280, 384)),
        ((10_000, 200), (1984, 32)),
        ((1, 1), (32, 32)),
    ],
)
def test_a_page_is_seen_in_multiples_of_32_between_limits(size: tuple[int, int], seen: tuple[int, int]) -> None:
    assert seen_size(size) == seen


def map_of(*areas: tuple[int, int, int, int, float]) -> np.ndarray:
    """A network's map of 100 x 60 px with these probabilities from (x1, y1) up to before (x2, y2)."""
    probabilities = np.zeros((60, 100), dtype=np.float32)
    for x1, y1, x2, y2, probability in areas:
        probabilities[y1:y2, x1:x2] = probability
    return probabilities


def test_a_frame_grows_by_its_area_over_its_perimeter() -> None:
    (frame,) = frames_of(map_of((20, 20, 61, 31, 0.9)))
    # 41 x 11 px and one more each way; from the middle of the first pixel to that of the last, 41 x 11.
    by = 1.6 * 41 * 11 / (2 * (41 + 11))
    assert frame == pytest.approx(
        np.array(((20 - by, 20 - by), (61 + by, 20 - by), (61 + by, 31 + by), (20 - by, 31 + by)))
    )


@pytest.mark.parametrize(
    "area",
    [
        (20, 20, 61, 31, 0.29),  # under the threshold
        (20, 20, 61, 31, 0.45),  # too faint on average
        (20, 20, 22, 22, 0.9),  # too small, even grown
    ],
)
def test_what_is_faint_or_tiny_is_no_frame(area: tuple[int, int, int, int, float]) -> None:
    assert frames_of(map_of(area)) == []


def test_frames_come_row_by_row_from_the_left() -> None:
    def frame(x: float, y: float, width: float = 10, height: float = 10) -> np.ndarray:
        return Rectangle(np.array((x, y)), np.array((1.0, 0.0)), width, height).corners

    right, left, below, tall = frame(50, 20), frame(20, 23), frame(20, 40), frame(5, 30, 10, 60)
    ordered = in_rows([below, tall, left, right])
    assert [f[:, 0].mean() for f in ordered] == [20, 50, 5, 20]
    assert in_rows([]) == []


def test_a_line_is_cut_out_level_whichever_way_it_stands() -> None:
    image = page([(100, 100, 399, 119)])
    image.paste("red", (100, 100, 120, 120))  # the line begins red
    corners = np.array(((100.0, 100), (400, 100), (400, 120), (100, 120)))
    for turned, view in ((0, image), (90, image.rotate(-90, expand=True))):
        placed = corners if not turned else np.stack((800 - corners[:, 1], corners[:, 0]), axis=1)
        cut = cut_out(view, placed)
        assert cut.size == (720, HEIGHT)
        assert cut.getpixel((20, 24)) == (255, 0, 0) and cut.getpixel((700, 24)) == (0, 0, 0)


def test_a_frame_at_the_edge_of_the_page_ends_there() -> None:
    (line,) = reader(["x"]).read(page([(0, 0, 200, 30)]))
    assert line.bbox[:2] == (0, 0) and line.text == "x"


def test_runs_of_a_sign_are_one_and_blanks_part_equal_ones() -> None:
    assert decoded(spelled("hello all"), ("", *SIGNS)).text == "hello all"
    steps = np.concatenate([spelled("a")[:2], spelled("a")[:2]])
    assert decoded(steps, ("", *SIGNS)).text == "a"


def test_a_score_is_the_mean_of_the_signs_that_are_kept() -> None:
    assert decoded(np.concatenate([spelled("a", 0.5), spelled("b", 0.9)]), ("", *SIGNS)).score == pytest.approx(0.7)
    assert decoded(spelled(""), ("", *SIGNS)) == ("", 0.0)


def test_lines_are_found_and_read_one_by_one_where_they_stand() -> None:
    read: list[str] = []
    lines = reader(["first", "second", "third"], log=read).read(
        page([(100, 100, 300, 130), (450, 100, 700, 130), (100, 200, 300, 230)])
    )
    first = next(lines)
    assert read == ["first"]  # the others are not looked at before they are wanted
    assert [line.text for line in lines] == ["second", "third"]
    x1, y1, x2, y2 = first.bbox
    assert 90 > x1 > 70 and 95 > y1 > 70 and 335 > x2 > 310 and 160 > y2 > 135


def test_reading_stops_between_lines_when_it_is_told_to() -> None:
    read: list[str] = []
    engine = reader(["first", "second", "third"], log=read)
    bars = [(100, 100, 300, 130), (100, 200, 300, 230), (100, 300, 300, 330)]
    assert [line.text for line in engine.read(page(bars), is_stopped=lambda: len(read) == 2)] == ["first", "second"]


@pytest.mark.parametrize(("text", "score"), [("faint", 0.49), ("  ", 0.9), ("", 1.0)])
def test_what_cannot_be_read_comes_without_text(text: str, score: float) -> None:
    (line,) = reader([text], {0: score}).read(page([(100, 100, 300, 130)]))
    assert line.text == "" and line.score <= score + 1e-6


def test_text_that_runs_up_is_tried_in_each_direction() -> None:
    """The network of this test reads a line only if it begins dark."""

    def recognition(batch: np.ndarray) -> np.ndarray:
        begins = float(batch[..., : batch.shape[-1] // 3].mean())
        return spelled("up", 0.95 if begins < float(batch.mean()) else 0.3)[None]

    image = page([(100, 100, 130, 300)])
    image.paste("lightgrey", (100, 100, 131, 200))  # the upper half: what is read first stands below
    whole = reader([])
    engine = LineReader(whole._detection, recognition, whole._orientation, SIGNS)
    (line,) = engine.read(image)
    (x, y), (next_x, next_y) = line.corners[:2]
    assert line.text == "up" and x == pytest.approx(next_x, abs=1) and y > next_y


def test_turns_are_told_by_degrees() -> None:
    seen: list[tuple[int, ...]] = []

    def orientation(batch: np.ndarray) -> np.ndarray:
        seen.append(batch.shape)
        return np.array([[0.1, 0.6, 0.2, 0.1]], dtype=np.float32)

    for size in ((300, 300), (10, 2000), (2000, 10)):
        found = turn_probabilities(Image.new("RGB", size), orientation)
        assert found == pytest.approx({0: 0.1, 90: 0.6, 180: 0.2, 270: 0.1})
    assert seen == [(1, 3, 224, 224)] * 3


# ---- The files


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a checkpoint that has its digest in the table."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"a network")
    sha256 = "9ccc9fd6ba86c55a7ed1b5bd6ea1a59bdaf5b62ee04b6b3c1c0d7ee1b5a5d6b4"
    row = Checkpoint("pp-ocr", "MIT", 9, files=(File("net.onnx", 9, sha256),))
    monkeypatch.setattr(table, "checkpoints", lambda: {networks.CHECKPOINT: row})
    return path


def test_an_altered_file_is_never_loaded(file: Path) -> None:
    with pytest.raises(SetupError, match=r"its sha256 is .* Delete the folder .*fetch pp-ocr"):
        OnnxNetwork(file, 1)


def test_a_missing_file_is_named_with_the_command_that_fetches_it(file: Path) -> None:
    file.unlink()
    with pytest.raises(SetupError, match=r"net.onnx cannot be read: .* Run: script/ocr weights fetch pp-ocr"):
        OnnxNetwork(file, 1)


def test_without_onnxruntime_the_requirement_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SetupError, match=r"the line `onnxruntime==…` of requirements.txt"):
        OnnxNetwork(file, 1)

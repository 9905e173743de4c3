"""The real detector of regions on a real page. Runs where the weights are: `pytest --real-weights DIR`."""

from pathlib import Path

import pytest

from ocr.documents.images import read_image
from ocr.models.layout.detector import load
from ocr.models.layout.labels import CHECKPOINT, KINDS
from ocr.reading.regions import distinct
from ocr.settings import Settings


def test_a_real_page_has_a_title_and_columns_of_text_from_the_top_down(real_weights: Path, shared: Path) -> None:
    if not (real_weights / CHECKPOINT).is_dir():
        pytest.skip(f"{real_weights} has no folder {CHECKPOINT}")
    with (shared / "images" / "paper_page_1700x2250.jpg").open("rb") as file:
        image = read_image(file, max_pixels=10**8).image
    detector = load(real_weights / CHECKPOINT, Settings())
    assert set(detector.model.config.id2label.values()) == set(KINDS)
    assert detector.rules.size == (800, 800)
    kept, _ = distinct(detector.find(image))
    assert {"text"} < {region.label for region in kept} <= set(KINDS)
    texts = [region.bbox for region in kept if region.label == "text"]
    assert len(texts) > 3
    assert min(y1 for _, y1, _, _ in texts[:2]) < image.height / 2 < max(y2 for _, _, _, y2 in texts[-2:])
    assert all(0 <= x1 < x2 <= image.width and 0 <= y1 < y2 <= image.height for x1, y1, x2, y2 in texts)

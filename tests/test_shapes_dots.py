"""The shapes of the full-size dots.ocr checkpoint, held to what is known of it and to the engine's own model."""

import math

from bench import shapes_dots
from tests.checkpoints_dots import TINY


def test_the_full_size_checkpoint_has_the_known_number_of_tensors_and_parameters() -> None:
    shapes = shapes_dots.shapes()
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    vision = sum(size for name, size in sizes.items() if name.startswith("vision_tower."))
    assert len(shapes) == 643
    assert (sum(sizes.values()) - vision, vision) == (1_777_088_000, 1_262_091_264)


def test_the_tiny_checkpoint_has_the_reference_s_names_and_shapes() -> None:
    golden = {name: tuple(shape) for name, shape in TINY["shapes"].items()}
    assert shapes_dots.shapes(TINY["config"]) == golden


def test_the_stand_in_tokenizer_has_the_real_ids() -> None:
    tokenizer = shapes_dots.stand_in_tokenizer()
    assert tokenizer.get_vocab_size() == 151936
    text = "".join(shapes_dots.SPECIAL_IDS)
    assert tokenizer.encode(text).ids == list(shapes_dots.SPECIAL_IDS.values())
    assert tokenizer.decode(tokenizer.encode("Grüße, 你好").ids) == "Grüße, 你好"

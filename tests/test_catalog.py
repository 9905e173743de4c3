"""The tables, and requests checked against them."""

import pytest

from ocr.engines.prompts import fill
from ocr.errors import InputError
from ocr.faces.gateway.asking import catalogued
from ocr.models.catalog import MODELS
from ocr.models.tasks import GUNDAM, LOCATE, PRESETS, TASKS
from ocr.reading.request import Request
from ocr.types import Decoding, Prompt
from ocr.weights.table import checkpoints


@pytest.mark.parametrize(
    ("task", "wording"),
    [
        ("Convert to Markdown", "<image>\n<|grounding|>Convert the document to markdown."),
        ("Free OCR", "<image>\nFree OCR."),
        ("Parse Figure", "<image>\nParse the figure."),
        ("Locate Object by Reference", "<image>\nLocate <|ref|>{text}<|/ref|> in the image."),
        ("OCR with Boxes", "<image>\n<|grounding|>OCR this image."),
        ("Describe Image", "<image>\nDescribe this image in detail."),
    ],
)
def test_deepseek_is_asked_in_the_words_it_was_trained_on(task: str, wording: str) -> None:
    assert MODELS["deepseek-ocr"].tasks[task].template == wording


def test_the_presets_have_the_sizes_of_the_makers() -> None:
    sizes = {name: (views.base, views.tile, views.padded) for name, views in MODELS["deepseek-ocr"].presets.items()}
    assert sizes == {
        "Gundam (Recommended)": (1024, 640, True),
        "Tiny": (512, None, False),
        "Small": (640, None, False),
        "Base": (1024, None, True),
        "Large": (1280, None, True),
    }


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": "gpt"}, ["'gpt'", "deepseek-ocr"]),
        ({"task": "OCR"}, ["'OCR'", "Free OCR", "Convert to Markdown"]),
        ({"resolution": "Huge"}, ["'Huge'", "Tiny", "Gundam"]),
        ({"task": LOCATE}, ["reference is empty", "what to locate"]),
        ({"task": LOCATE, "reference": "  "}, ["reference is empty"]),
        ({"reference": "title"}, ["reference would have no effect", LOCATE]),
        ({"prompt": "Read.", "reference": "title"}, ["no effect"]),
    ],
)
def test_a_wrong_request_says_what_is_allowed(wrong: dict[str, str], words: list[str]) -> None:
    with pytest.raises(InputError) as raised:
        Request(**{"model": "deepseek-ocr", **wrong})
    for word in words:
        assert word in str(raised.value)


def test_a_prompt_of_ones_own_takes_the_place_of_the_tasks() -> None:
    request = Request(model="deepseek-ocr", task=LOCATE, prompt=" Count the tables. ")
    assert fill(request.asked, request.words, ()) == "<image>\nCount the tables."


@pytest.mark.parametrize("words", ["<|ref|>x", "a <image> b", "<td>"])
def test_words_that_hold_a_special_token_are_refused(words: str) -> None:
    prompt = Prompt("Locate <|ref|>{text}<|/ref|>")
    with pytest.raises(InputError, match="meaning of its own"):
        fill(prompt, words, ("<image>", "<|ref|>", "<td>"))


def test_braces_in_the_users_words_stay_as_they_are() -> None:
    assert fill(Prompt("find {text}!"), "{text} {0}", ()) == "find {text} {0}!"


@pytest.mark.parametrize("tokens", [0, -1, 32769])
def test_a_token_budget_out_of_range_is_refused(tokens: int) -> None:
    with pytest.raises(InputError, match=f"{tokens}; it must be from 1 to 32768"):
        Decoding(max_new_tokens=tokens)


def test_every_task_belongs_to_a_model() -> None:
    assert set(TASKS) == {task for model in MODELS.values() for task in model.tasks}


@pytest.mark.parametrize("model", MODELS)
def test_a_card_and_the_table_of_checkpoints_name_one_licence(model: str) -> None:
    assert MODELS[model].licence == checkpoints()[model].licence
    assert MODELS[model].languages


@pytest.mark.parametrize("model", MODELS)
def test_a_model_s_tasks_and_presets_are_those_that_callers_know(model: str) -> None:
    card = MODELS[model]
    assert set(card.tasks) <= set(TASKS)
    assert {GUNDAM, card.cpu_preset} <= set(card.presets)
    assert set(card.presets) <= set(PRESETS)


def test_a_task_that_is_about_regions_is_selected_by_its_name_alone() -> None:
    assert catalogued("<image>") == ("", "")
    assert catalogued("<image>\nFree OCR.") == ("Free OCR", "")
    assert catalogued("parse layout") == ("Parse Layout", "")


def test_every_task_is_some_model_s() -> None:
    assert set(TASKS) == {task for card in MODELS.values() for task in card.tasks}

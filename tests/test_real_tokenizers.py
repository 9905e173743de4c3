# ruff: noqa: RUF001  (signs of other scripts look like Latin ones)
"""What the project makes of text with the models' own tokenizers: ids, counts, words that are refused, text as it is
released. The stand-ins that the other tests use have the same special tokens and bytes for words.

Runs where they are at hand or can be fetched: `pytest --real-tokenizers tests/test_real_tokenizers.py`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer

from bench.shapes_dots import PREPROCESSOR, SPECIAL_IDS
from ocr.decoding.rules import NgramBan
from ocr.engines.patches import patch_rules
from ocr.engines.processor import Processor
from ocr.errors import InputError
from ocr.models.catalog import MODELS
from ocr.models.deepseek.card import DEEPSEEK_OCR
from ocr.models.deepseek.processor import DeepSeekProcessor
from ocr.models.dots.card import DOTS_OCR
from ocr.models.dots.processor import DotsProcessor
from ocr.types import PageInput
from tests.checkpoints import GOLDEN, byte_tokenizer
from tests.real_tokenizers import UnreachableError, deepseek_tokenizer, dots_tokenizer, held_to

ADDED: Mapping[str, Any] = json.loads((GOLDEN / "deepseek" / "added_tokens.json").read_text())
IMAGE_ID = 128815
# Ids of each task's prompt, the image's tokens as one; the title is what is located.
PROMPTS: Mapping[str, Sequence[int]] = {
    "Convert to Markdown": (0, IMAGE_ID, 201, 128820, 21842, 270, 4940, 304, 2121, 7919, 16),
    "Free OCR": (0, IMAGE_ID, 201, 21431, 126041, 16),
    "Parse Figure": (0, IMAGE_ID, 201, 68779, 270, 5991, 16),
    "Locate Object by Reference": (
        *(0, IMAGE_ID, 201, 26751, 434, 223, 128816, 1805, 6407, 128817, 295, 270, 4609, 16),
    ),
    "OCR with Boxes": (0, IMAGE_ID, 201, 128820, 119316, 566, 4609, 16),
    "Describe Image": (0, IMAGE_ID, 201, 72188, 566, 4609, 295, 6271, 16),
}
IMAGE_TOKENS: Mapping[str, int] = {  # of a page of A4 at 200 dpi, which Gundam sees in 2 by 3 tiles as well
    "Tiny": 73,
    "Small": 111,
    "Base": 273,
    "Large": 421,
    "Gundam (Recommended)": 273 + 30 * 21,
}
A4 = Image.new("RGB", (1654, 2339), "white")
MIXED = (
    "Rechnung Nr. 2047: naïve café, Ångström, coöperate, façade",
    "第三条　甲方应当于二〇二六年十一月三十日前付清全部款项（人民币：壹万元整）。鿋𠮷野家𪚥",
    "日本語のテキストと한국어 문장, ไทยแลนด์ ภาษาไทย",
    "👩\u200d👩\u200d👧\u200d👦 family, 🏳\ufe0f\u200d🌈 flag, 👍🏽 thumb, 🇨🇭 Switzerland, 𝔐𝔞𝔱𝔥 𝒙²",
    "e\u0301 a\u0328\u0301 o\u0302\u0323 Z̷̢̛a̸l̶g̵o̴",
    "שָׁלוֹם עוֹלָם \u200fמחיר: 12.50 ₪\u200e and السَّلامُ عَلَيْكُم ١٢٣",
    "नमस्ते दुनिया, தமிழ், ខ្មែរ, မြန်မာ",
    "<table><tr><td>1</td><td></td></tr></table> \\(\\int_0^\\infty e^{-x^2}\\,dx\\)\n\n\t  ends with blanks  \n",
)


@pytest.fixture(scope="module")
def deepseek(request: pytest.FixtureRequest) -> DeepSeekProcessor:
    return DeepSeekProcessor(_given(request, deepseek_tokenizer), 8192, DEEPSEEK_OCR)


@pytest.fixture(scope="module")
def dots(request: pytest.FixtureRequest) -> DotsProcessor:
    return DotsProcessor(
        _given(request, dots_tokenizer), 131072, DOTS_OCR, patch_rules(PREPROCESSOR, patch=14, merge=2)
    )


def _given(request: pytest.FixtureRequest, tokenizer: Any) -> Tokenizer:
    if not request.config.getoption("--real-tokenizers"):
        pytest.skip("runs on the models' own tokenizers only: give --real-tokenizers")
    try:
        return tokenizer()
    except UnreachableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=["deepseek", "dots"])
def processor(request: pytest.FixtureRequest) -> Processor[Any]:
    """Each of the two."""
    found: Processor[Any] = request.getfixturevalue(request.param)
    return found


def asked(model: str, task: str, resolution: str, words: str = "", image: Image.Image = A4) -> PageInput:
    card = MODELS[model]
    return PageInput(image, card.tasks[task], words, card.presets[resolution])


# --- Special tokens ---------------------------------------------------------------------------------------------


def test_the_special_tokens_have_the_ids_and_flags_of_the_hubs_own(deepseek: DeepSeekProcessor) -> None:
    found = deepseek.tokenizer.get_added_tokens_decoder()
    for index, flags in ADDED.items():
        token = found[int(index)]
        assert {name: getattr(token, name) for name in flags} == flags
    assert len(deepseek.reserved) == len(found) == 830
    assert deepseek.end_ids == [1]
    assert deepseek.image_token == IMAGE_ID


def test_the_stand_in_has_special_tokens_of_the_same_kind() -> None:
    flags = {token["content"]: token["special"] for token in ADDED.values()}
    stand_in = byte_tokenizer().get_added_tokens_decoder().values()
    assert {token.content: token.special for token in stand_in}.items() <= flags.items()


def test_the_ban_on_repeated_ngrams_lets_table_cells_through(deepseek: DeepSeekProcessor) -> None:
    (ban,) = deepseek.own_rules(DEEPSEEK_OCR.tasks["Free OCR"])
    assert isinstance(ban, NgramBan)
    assert ban.whitelist == {128821, 128822}
    assert [deepseek.tokenizer.id_to_token(index) for index in sorted(ban.whitelist)] == ["<td>", "</td>"]


# --- Prompts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", IMAGE_TOKENS)
@pytest.mark.parametrize("task", PROMPTS)
def test_every_task_has_its_ids_at_every_preset(deepseek: DeepSeekProcessor, task: str, resolution: str) -> None:
    words = "the title" if task.startswith("Locate") else ""
    ready = deepseek.prepare(asked("deepseek-ocr", task, resolution, words))
    before, after = PROMPTS[task][:1], PROMPTS[task][2:]
    assert ready.image_tokens == IMAGE_TOKENS[resolution]
    assert ready.ids == (*before, *[IMAGE_ID] * IMAGE_TOKENS[resolution], *after)


def test_every_task_of_the_card_is_held() -> None:
    assert PROMPTS.keys() == DEEPSEEK_OCR.tasks.keys()
    assert IMAGE_TOKENS.keys() == DEEPSEEK_OCR.presets.keys()


@pytest.mark.parametrize("words", ["the title", "", *MIXED[:-1]])
def test_encoding_around_the_image_is_encoding_the_whole(deepseek: DeepSeekProcessor, words: str) -> None:
    for task, prompt in DEEPSEEK_OCR.tasks.items():
        ready = deepseek.prepare(asked("deepseek-ocr", task, "Tiny", words))
        text = prompt.template.replace("{text}", words).replace("<image>", "<image>" * 73)
        whole = deepseek.tokenizer.encode(text, add_special_tokens=False).ids
        assert ready.ids == (0, *whole)


def test_a_page_of_dots_has_its_frame_around_its_tokens(dots: DotsProcessor) -> None:
    """vLLM counted 5097 for such a page: its chat template puts one token between, the makers' own form has none."""
    image = Image.new("RGB", (1700, 2250))
    ready = dots.prepare(asked("dots.ocr", "Convert to Markdown", "Gundam (Recommended)", image=image))
    assert (len(ready.ids), ready.image_tokens) == (5096, 4880)
    assert ready.ids[:2] == (151670, 151666)
    assert ready.ids[2 : 2 + 4880] == (151665,) * 4880
    assert ready.ids[-2:] == (151671, 151672)
    assert dots.end_ids == [SPECIAL_IDS[end] for end in ("<|endoftext|>", "<|assistant|>", "<|endofassistant|>")]


def test_words_beside_the_frame_of_dots_are_encoded_on_their_own(dots: DotsProcessor) -> None:
    ready = dots.prepare(asked("dots.ocr", "Free OCR", "Tiny"))
    words = dots.tokenizer.encode("Extract the text content from this image.", add_special_tokens=False).ids
    assert ready.ids[-2 - len(words) - 1 :] == (151667, *words, 151671, 151672)


# --- Words that are refused -------------------------------------------------------------------------------------


def test_no_special_token_can_be_smuggled_in_by_its_name(processor: Processor[Any]) -> None:
    prompt = DEEPSEEK_OCR.tasks["Locate Object by Reference"]
    for name in processor.reserved:
        with pytest.raises(InputError, match="meaning of its own"):
            processor.check(prompt, f"the {name} title")


@settings(max_examples=150)
@given(data=st.data())
def test_words_that_pass_hold_no_special_token(processor: Processor[Any], data: st.DataObject) -> None:
    added = processor.tokenizer.get_added_tokens_decoder()
    crumbs = st.one_of(
        st.sampled_from(["<", "|", ">", "<|", "|>", "/", "td", "ref", "image", "｜", "▁", "﹤", "＜", "\u200b", " "]),
        st.sampled_from(sorted(ADDED)).map(lambda index: str(ADDED[index]["content"])).flatmap(_cut),
        st.text(max_size=3),
    )
    words = "".join(data.draw(st.lists(crumbs, max_size=6)))
    ids = set(processor.tokenizer.encode(words, add_special_tokens=False).ids)
    try:
        processor.check(DEEPSEEK_OCR.tasks["Locate Object by Reference"], words)
    except InputError:
        return
    assert not ids & added.keys()


def _cut(name: str) -> st.SearchStrategy[str]:
    """A name, or what is left of it from somewhere on or up to there."""
    return st.integers(0, len(name)).flatmap(lambda at: st.sampled_from([name, name[:at], name[at:]]))


# --- Text as it is released -------------------------------------------------------------------------------------


def released(processor: Processor[Any], ids: Sequence[int]) -> list[str]:
    stream = processor.text_stream()
    return [*(stream.feed(token) for token in ids), stream.close()]


@pytest.mark.parametrize("text", [*MIXED, " ".join(MIXED)])
def test_text_of_every_script_comes_in_whole_characters(processor: Processor[Any], text: str) -> None:
    ids = processor.tokenizer.encode(text, add_special_tokens=False).ids
    pieces = released(processor, ids)
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) == processor.tokenizer.decode(ids, skip_special_tokens=processor.skip_special_tokens)
    assert "".join(pieces) in (text, processor.tokenizer.normalizer.normalize_str(text))
    assert pieces[-1] == ""


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_whatever_the_text_is_its_tokens_give_it_back(processor: Processor[Any], text: str) -> None:
    ids = processor.tokenizer.encode(text, add_special_tokens=False).ids
    whole = processor.tokenizer.decode(ids, skip_special_tokens=processor.skip_special_tokens)
    assert "".join(released(processor, ids)) == whole


@settings(max_examples=200)
@given(st.lists(st.integers(0, 128_000), max_size=40))
def test_whatever_the_tokens_are_their_text_is_released_whole(processor: Processor[Any], ids: list[int]) -> None:
    pieces = released(processor, ids)
    whole = processor.tokenizer.decode(ids, skip_special_tokens=processor.skip_special_tokens)
    assert "".join(pieces).replace("\ufffd", "") == whole.replace("\ufffd", "")


def test_the_marks_of_an_answer_are_text_and_those_of_dots_are_not(
    deepseek: DeepSeekProcessor, dots: DotsProcessor
) -> None:
    answer = "<|ref|>title<|/ref|><|det|>[[10, 20, 300, 40]]<|/det|>\n# 標題 👍\n<table><tr><td>é</td></tr></table>"
    ids = deepseek.tokenizer.encode(answer, add_special_tokens=False).ids
    assert "".join(released(deepseek, ids)) == answer
    marked = [*dots.tokenizer.encode("# 標題", add_special_tokens=False).ids, SPECIAL_IDS["<|endofassistant|>"]]
    assert "".join(released(dots, marked)) == "# 標題"


# --- Fetching ---------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_as_pinned_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tokenizer has the sha256 .* where 00 is pinned"):
        held_to(b"cut off", "00", "tokenizer")

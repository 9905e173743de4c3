"""What small checkpoints are trained with: pages whose truth is true, answers that the package's own parser
understands, batches that come out the same again, and a training that goes on where it stopped."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.answers.elements import Elements
from ocr.models.deepseek.card import BOS, EOS, IMAGE
from ocr.models.tasks import FREE_OCR, LOCATE, MARKDOWN
from training import train
from training.answers import Answer, free_ocr, locate, markdown, ocr_with_boxes, prompt_of
from training.batches import ALL_TASKS, IGNORED, Batches, Stage, View, spelled
from training.examples import EXAMPLES, draw
from training.examples import FOLDER as FOLDER_OF_EXAMPLES
from training.fonts import FOLDER, HELD_OUT, KNOWN
from training.learner import Learner
from training.model import fresh_model
from training.muon import Muon, orthogonalised
from training.pages import Page, Style, draw_page
from training.vocabulary import NOWHERE, PLACES, parts, symbol, symbols, tokenizer, value_of

FILES = {file for family in (*KNOWN, *HELD_OUT) for file in (family.regular, family.bold, family.italic) if file}
pytestmark = pytest.mark.skipif(
    not {path.name for path in FOLDER.rglob("*.?tf")} >= FILES or not Path("/usr/share/dict/words").exists(),
    reason="Debian's packages of fonts and words, named in training/fonts.py, are not installed here",
)
CLEAN = Style(512, is_clean=True)
PAGES = range(12)


def page(seed: int, style: Style = CLEAN) -> Page:
    return draw_page(Random(seed), style)


def text_of(answer: Answer) -> str:
    return "".join(sign.text for sign in answer)


def elements_of(answer: Answer, drawn: Page) -> list[Any]:
    parser, elements = PARSERS["grounded"](Scale(extent=(999, 999), page=drawn.image.size)), Elements()
    events = [*parser.feed(text_of(answer)), *parser.close()]
    assert parser.problems == []
    return [element for event in events for element in elements.feed(event)] + list(elements.close())


@pytest.mark.parametrize("seed", PAGES)
def test_every_character_stands_where_the_truth_says(seed: int) -> None:
    drawn = page(seed, Style(512, is_clean=True, families=KNOWN[:1]))
    levels = np.asarray(drawn.image.convert("L")).astype(int)
    for line in (line for block in drawn.blocks for line in block.lines):
        x1, y1, x2, y2 = (round(side) for side in line.box)
        assert np.ptp(levels[y1:y2, x1:x2]) > 60, line.text
        assert all(x1 <= x <= x2 and y1 <= y <= y2 for x, y in line.centres)
        levels[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1] = levels[0, 0]
    assert np.ptp(levels) == 0  # nothing stands outside of the boxes


def test_pages_are_of_many_colours_dark_on_light() -> None:
    papers, inks = set(), set()
    for seed in PAGES:
        colours = np.asarray(page(seed).image).reshape(-1, 3)
        paper, ink = colours[0], colours[colours.sum(1).argmin()]
        assert paper.min() >= 193
        assert ink.max() <= 140
        papers.add(tuple(paper.tolist()))
        inks.add(tuple(ink.tolist()))
    assert len(papers) > len(PAGES) / 2
    assert any(len(set(ink)) > 1 for ink in inks)  # not all are grey
    assert any(len(set(paper)) > 1 for paper in papers)


@pytest.mark.parametrize("seed", PAGES)
def test_a_skewed_page_has_its_truth_skewed_with_it(seed: int) -> None:
    drawn = page(seed, Style(512))
    for line in (line for block in drawn.blocks for line in block.lines):
        assert len(line.centres) == len(line.text)
        x1, y1, x2, y2 = line.box
        assert all(x1 - 2 <= x <= x2 + 2 and y1 - 2 <= y <= y2 + 2 for x, y in line.centres)


@pytest.mark.parametrize("seed", PAGES)
def test_the_packages_parser_finds_the_blocks_in_the_markdown(seed: int) -> None:
    drawn = page(seed)
    elements = elements_of(markdown(drawn), drawn)
    marks = {"title": "# ", "sub_title": "## ", "text": ""}
    for element, block in zip(elements, drawn.blocks, strict=True):
        assert element.label == block.label
        assert element.text == marks[block.label] + "\n".join(line.text for line in block.lines)
        # A side is read at the middle of one of 80 steps.
        for side, true, length in zip(element.bbox, block.box, drawn.image.size * 2, strict=True):
            assert abs(side - true) <= length / PLACES / 2 + 1


def test_each_line_has_its_box_in_ocr_with_boxes() -> None:
    drawn = page(3)
    lines = [line for block in drawn.blocks for line in block.lines]
    assert [element.text for element in elements_of(ocr_with_boxes(drawn), drawn)] == [line.text for line in lines]


def test_what_is_to_be_located_stands_once_on_the_page() -> None:
    drawn = page(5)
    found = locate(drawn, Random(0))
    assert found is not None
    words, answer = found
    assert drawn.text.count(words) == 1
    (element,) = elements_of(answer, drawn)
    line = next(line for block in drawn.blocks for line in block.lines if words in line.text)
    assert element.text == words
    step = drawn.image.width / PLACES
    assert line.box[0] - step <= element.bbox[0] < element.bbox[2] <= line.box[2] + step


@pytest.mark.parametrize("make", [free_ocr, markdown, ocr_with_boxes])
def test_an_answers_tokens_decode_to_its_text(make: Any) -> None:
    by_parts = {pair: index for index, pair in enumerate(zip(*map(Tensor.tolist, parts()), strict=True))}
    answer = make(page(7))
    ids = [by_parts[symbol(sign.symbol), sign.place] for sign in answer]
    assert tokenizer().decode(ids, skip_special_tokens=False) == text_of(answer)


@pytest.mark.parametrize("words", ["a b", "$9.50, (x)", "#1"])
def test_prompts_are_spelled_as_the_tokenizer_spells_them(words: str) -> None:
    prompt = prompt_of(LOCATE, words)
    assert spelled(prompt) == tokenizer().encode(prompt, add_special_tokens=False).ids


def test_any_text_comes_back_out_of_the_tokenizer() -> None:
    text = "Größe 5 µm\n\tend"
    assert tokenizer().decode(tokenizer().encode(text, add_special_tokens=False).ids) == text


def test_every_token_has_a_name_of_its_own() -> None:
    assert tokenizer().get_vocab_size() == len(parts()[0]) == len(symbols()) - 3 + 98 * PLACES
    assert [value_of(place) for place in (0, PLACES - 1)] == [6, 993]


STAGE = Stage("test", 8, 3, 128, (12,), ALL_TASKS, pitch=(28, 64))


def test_a_batch_asks_for_the_answer_and_shows_where_it_is_read_off() -> None:
    for batch in Batches(STAGE, 0)[0]:
        assert batch.pixels.shape == (3, 128, 128, 3)
        assert batch.patches.shape == (3, 8, 8, 2)
        assert batch.features.shape == (3, 2, 2, 32)
        reading = batch.reading
        image = reading.symbols == symbol(IMAGE)
        assert image.sum(1).tolist() == [2 * 3 + 1] * 3
        for page, wanted in enumerate(reading.next_symbols):
            asked = (wanted != IGNORED).nonzero()[:, 0]
            assert wanted[asked[-1]] == symbol(EOS)
            assert reading.symbols[page, 0] == symbol(BOS)
            for eyes in (reading.here, reading.after, reading.next):
                assert image[page, eyes[page][eyes[page] >= 0]].all()
            rows = reading.row[page][reading.row[page] >= 0]
            assert (reading.symbols[page, rows] == symbol("row")).all()
        assert torch.equal(reading.parts != IGNORED, reading.next >= 0)


def test_most_of_what_is_given_is_what_was_asked_for_and_some_is_wrong() -> None:
    readings = [batch.reading for group in range(2) for batch in Batches(STAGE, 0)[group]]
    for given, asked, least in (("symbols", "next_symbols", 0.9), ("places", "next_places", 0.7)):
        pairs = [(getattr(reading, given)[:, 1:], getattr(reading, asked)[:, :-1]) for reading in readings]
        right = torch.cat([(now == true)[true != IGNORED] for now, true in pairs]).float().mean()
        assert least < right < 1


def test_a_point_is_found_in_the_feature_that_holds_it() -> None:
    drawn = page(1)
    height = drawn.image.height
    view = View(drawn, 512)
    assert view.index((0, 1), 0) == 1
    assert view.index((0, 1), 79) == 8
    assert view.index((0, 1), 9, right=1) == 2
    assert view.index((0, 1), 79, right=1) == 8  # there is none further right
    assert view.index((0, height - 1), 0) == 1 + 7 * 9


def test_a_point_is_found_in_the_part_of_its_feature() -> None:
    drawn = page(1)
    width, height = drawn.image.size
    view = View(drawn, 512)
    assert view.part((1, 1)) == 0
    assert view.part((width - 0.1, 1)) == 7
    assert view.part((1, height / 8 - 0.1)) == 24
    assert view.part((width + 9, height + 9)) == 31


def test_what_is_finished_says_what_the_learner_would() -> None:
    """The tables of whole tokens give the logits of their parts, added."""
    learner = Learner(fresh_model(0))
    said, places = parts()
    hidden = torch.randn(3, learner.symbol_embed.embedding_dim)
    apart = learner.symbol_head(hidden)[:, said] + learner.place_head(hidden)[:, places]
    model = learner.finish()
    torch.testing.assert_close(model.lm_head(hidden), apart)
    given = learner.symbol_embed(torch.tensor(symbol("a"))) + learner.place_embed(torch.tensor(NOWHERE))
    torch.testing.assert_close(model.get_input_embeddings()(torch.tensor(symbol("a"))), given)


def test_the_learner_decodes_as_the_model_does() -> None:
    """Its attention and all experts at once come to the hidden states of transformers' own."""
    language = Learner(fresh_model(0)).model.model.language_model
    reading = Batches(STAGE, 0)[0][0].reading
    hidden = torch.randn(*reading.symbols.shape, 256)
    ours = language(inputs_embeds=hidden, use_cache=False, reading=reading, eyes=[]).last_hidden_state
    language.config._attn_implementation, language.config._experts_implementation = "eager", "eager"
    whole = language(inputs_embeds=hidden, use_cache=False).last_hidden_state
    torch.testing.assert_close(ours, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 8, 32), (2, 32, 8)])
def test_orthogonalised_matrices_stretch_every_direction_about_alike(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert values.min() > 0.5
    assert values.max() < 1.3


@pytest.mark.parametrize("shape", [(6, 4), (2, 6, 4)])
def test_muon_finds_the_least_of_a_bowl(shape: tuple[int, ...]) -> None:
    parameter = torch.nn.Parameter(torch.ones(shape))
    optimiser = Muon([parameter], lr=0.05)
    for _ in range(250):
        optimiser.zero_grad()
        (parameter**2).sum().backward()
        optimiser.step()
    assert parameter.abs().max() < 0.4


def test_the_same_number_draws_the_same_batch() -> None:
    first, again = Batches(STAGE, 1)[1], Batches(STAGE, 1)[1]
    assert all(
        torch.equal(a.pixels, b.pixels) and torch.equal(a.reading.symbols, b.reading.symbols)
        for a, b in zip(first, again, strict=True)
    )
    assert not torch.equal(first[0].pixels, Batches(STAGE, 2)[1][0].pixels)


def test_a_training_that_was_stopped_goes_on_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "EVERY", 4)
    monkeypatch.setattr(train, "THREADS", 1)
    monkeypatch.setattr(train, "WORKERS", 0)
    monkeypatch.setattr(train, "STAGES", (STAGE,))
    train.Training(tmp_path / "whole").run()

    class StoppedError(Exception):
        pass

    def stop(training: train.Training, *_means: object) -> None:
        training.save()
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(train.Training, "_note", stop)
        with pytest.raises(StoppedError):
            train.Training(tmp_path / "stopped").run()
    train.Training(tmp_path / "stopped").run()
    whole, stopped = (train.Training(tmp_path / name).learner.state_dict() for name in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_pages_text_is_what_was_drawn(name: str) -> None:
    assert (FOLDER_OF_EXAMPLES / f"{name}.md").read_text() == draw(EXAMPLES[name])[1]


def test_prompts_are_the_packages_own() -> None:
    assert prompt_of(MARKDOWN) == "<image>\n<|grounding|>Convert the document to markdown."
    assert prompt_of(FREE_OCR) == "<image>\nFree OCR."

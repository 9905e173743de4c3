"""The embedded model's tokens: DeepSeek-OCR's special ones, every byte, and characters that say where they stand.

A model this small cannot keep its place on a page by itself: which feature comes next is told by nothing that it has
said so far. So every token of an answer that is read off the page carries a place, one of PLACES steps across the page
or down it: a character how far right it stands, a coordinate its value. Before each line an unseen ROW says how far
down it runs and an unseen COLUMN which place it begins right of. Decoded, the places are gone: `a` is `a` wherever it
stands.
"""

from functools import lru_cache

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from ocr.models.deepseek.card import BOS, EOS, IMAGE
from ocr.models.deepseek.processor import EXTENT

PAD = "<｜▁pad▁｜>"
MARKS = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<td>", "</td>", "<tr>", "</tr>")
SPECIAL = (BOS, EOS, PAD, IMAGE, *MARKS)
PLACES = 80  # steps of 8 px of a view of 640
NOWHERE = PLACES  # the place of a token that stands at none
PRINTABLE = "".join(map(chr, range(ord(" "), ord("~") + 1)))
ROW, COLUMN, COORDINATE = "row", "column", "coordinate"
UNSEEN = (ROW, COLUMN)
PLACED = (*PRINTABLE, *UNSEEN, COORDINATE)
TAGS = "\ue000-\ue1ff"  # code points of private use, a place each: in the tokens' names, so that no two are alike


@lru_cache(maxsize=1)
def symbols() -> dict[str, int]:
    """What a token says, apart from where: the special tokens, the bytes, ROW, COLUMN and COORDINATE; by number."""
    names = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *UNSEEN, COORDINATE]
    return {name: index for index, name in enumerate(names)}


def symbol(text: str) -> int:
    """The number of a special token, an ASCII character, ROW, COLUMN or COORDINATE."""
    return symbols()[{" ": "Ġ", "\n": "Ċ"}.get(text, text)]


def place_of(share: float) -> int:
    """The step at a share of the page's width or height."""
    return min(max(int(share * PLACES), 0), PLACES - 1)


def value_of(place: int) -> int:
    """The coordinate that a step is written as, 0 to 999: its middle."""
    return round((place + 0.5) / PLACES * EXTENT[0])


def tokens() -> list[tuple[str, int, int]]:
    """All tokens in the order of their ids: name, symbol, place. Those without a place come first."""
    plain = [(name, index, NOWHERE) for name, index in symbols().items() if name not in (*UNSEEN, COORDINATE)]
    return plain + [(_name(text, place), symbol(text), place) for text in PLACED for place in range(PLACES)]


def _name(text: str, place: int) -> str:
    seen = {ROW: "", COLUMN: "", COORDINATE: str(value_of(place)), " ": "Ġ"}.get(text, text)
    kind = (*UNSEEN, COORDINATE, text).index(text)  # what is not told apart by what is seen
    return seen + chr(0xE000 + kind * PLACES + place)


@lru_cache(maxsize=1)
def parts() -> tuple[Tensor, Tensor]:
    """The symbol and the place of each token, (tokens,) each."""
    _, said, places = zip(*tokens(), strict=True)
    return torch.tensor(said), torch.tensor(places)


def tokenizer() -> Tokenizer:
    """Spells every text out in bytes, so no character is unknown; the placed tokens are for answers alone."""
    vocabulary = {name: index for index, (name, _, _) in enumerate(tokens())}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.Sequence([decoders.Replace(Regex(f"[{TAGS}]"), ""), decoders.ByteLevel()])
    made.add_tokens([AddedToken(name, special=name.startswith("<｜"), normalized=False) for name in SPECIAL])
    return made

"""Token ids to text that can no longer change. Knows no model and no layout."""

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

MOST_HELD = 16  # tokens without a whole character among them; a character has at most four


class TextStream:
    """Ids to text, released when it is final: a token may end in the middle of a UTF-8 character.

    A token's text can depend on the one before it (a Metaspace decoder leaves out the blank before a text's first word
    only), so tokens are decoded in their context, by the tokenizer's own stream. Where that gives up, on bytes that no
    character is made of, what it held comes out as it stands.
    """

    def __init__(self, tokenizer: Tokenizer, *, skip_special_tokens: bool) -> None:
        self._tokenizer = tokenizer
        self._skip = skip_special_tokens
        self._last: list[int] = []  # the token whose text came out last, which is the context of those held
        self._held: list[int] = []  # tokens whose text may change
        self._stream = DecodeStream(skip_special_tokens=skip_special_tokens)

    def feed(self, token: int) -> str:
        """The text that this token makes final; often empty."""
        self._held.append(token)
        try:
            text = self._stream.step(self._tokenizer, token)
        except Exception:  # the library raises bare Exception where bytes held back turn out to be no character
            return self.close()
        if text is not None:
            self._last, self._held = [token], []
        return self.close() if len(self._held) == MOST_HELD else text or ""

    def close(self) -> str:
        """The text held back, incomplete as it is; what is fed after it is decoded on its own."""
        before, whole = self._decoded(self._last), self._decoded(self._last + self._held)
        self._last, self._held = (self._held or self._last)[-1:], []
        self._stream = DecodeStream(ids=self._last, skip_special_tokens=self._skip)
        return whole.removeprefix(before)

    def _decoded(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=self._skip)
        return text

"""The client's prompt and hotwords, as far as they leave room for the text in the decoder's context.

The context has 448 tokens. OpenAI's reference implementation uses at most half of them for the prompt and at most half
for the text; every further token of a prompt shortens the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

_POSITIONS = 448
_TEXT_TOKENS = 224

# Separators between the terms of a list; a list without any is separated by spaces.
_SEPARATORS = re.compile(r"\s*[,;\n、，；]\s*")  # noqa: RUF001 - full-width marks are meant

# Length, in characters, of the n-grams by which texts are compared.
_NGRAM = 5
# A text may be copied from the hints if they contain this share of its n-grams.
_COPIED_SHARE = 0.5


@dataclass(frozen=True)
class Hints:
    """The tokens of the prompt, and the hotwords.

    `shortened` are the names of the form fields of which a part was dropped.
    """

    prompt: Sequence[int]
    hotwords: str | None
    shortened: Sequence[str]


def fitted(tokenizer: Tokenizer, prompt: str | None, hotwords: str | None) -> Hints:
    """The end of the prompt and whole hotwords that fit together; if both are too long, each gets half of the room."""
    given = encoded(tokenizer, prompt)
    kept = _fitting_terms(tokenizer, hotwords or "", room(tokenizer) - min(len(given), room(tokenizer) // 2))
    read = last(given, room(tokenizer) - len(encoded(tokenizer, kept)))
    shortened = [
        name
        for name, is_short in (("prompt", len(read) < len(given)), ("hotwords", kept != (hotwords or "")))
        if is_short
    ]
    return Hints(read, kept or None, shortened)


def tokenizer_of(model: WhisperModel) -> Tokenizer:
    """A model's tokenizer, for uses that do not depend on the language."""
    return Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language="en")


def room(tokenizer: Tokenizer) -> int:
    """Number of tokens of hints that leaves room for 224 tokens of text."""
    return _POSITIONS - _TEXT_TOKENS - len([tokenizer.sot_prev, *tokenizer.sot_sequence])


def last(tokens: Sequence[int], count: int) -> list[int]:
    """The last `count` tokens; none for 0."""
    return list(tokens[max(0, len(tokens) - count) :])


def encoded(tokenizer: Tokenizer, text: str | None) -> list[int]:
    """A text's tokens, without the control tokens for whose names in the text the tokenizer returns them."""
    if not text or not text.strip():
        return []
    return [token for token in tokenizer.encode(" " + text.strip()) if token < tokenizer.eot]


def are_copied(text: str, hints: str) -> bool:
    """Whether the hints contain most of a text, regardless of case, spaces and punctuation.

    Also true for a text without letters and digits.
    """
    said, given = (letters(part) for part in (text, hints))
    length = min(_NGRAM, len(said))
    ngrams = _ngrams(said, length)
    return len(ngrams & _ngrams(given, length)) >= _COPIED_SHARE * len(ngrams)


def letters(text: str) -> str:
    """The letters and digits of a text."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _fitting_terms(tokenizer: Tokenizer, hotwords: str, count: int) -> str:
    """The hotwords, or as many of their terms, in order, as fit into `count` tokens."""
    if len(encoded(tokenizer, hotwords)) <= count:
        return hotwords
    terms = [term for term in _SEPARATORS.split(hotwords.strip()) if term]
    between = ", "
    if len(terms) == 1:
        terms, between = hotwords.split(), " "
    kept: list[str] = []
    for term in terms:
        size = len(encoded(tokenizer, term + between.strip()))
        if size <= count:
            kept.append(term)
            count -= size
    return between.join(kept)


def _ngrams(letters: str, length: int) -> set[str]:
    return {letters[start : start + length] for start in range(len(letters) - length + 1)}

"""What a decoder reads before it writes: the client's prompt and hot words, as far as they leave room for the text.

The decoder has positions for 448 tokens. OpenAI's reference implementation reads half of them at most and writes half
of them at most; each token more that is read is missing from the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer

_POSITIONS = 448
_TEXT_TOKENS = 224

# Between two terms of a list; a list without them has a space there.
_SEPARATORS = re.compile(r"\s*[,;\n、，；]\s*")  # noqa: RUF001 - full-width marks are meant

# Characters in a row that two texts have in common, when one is a copy of the other.
_RUN = 5
# Share of a text's runs that the hints contain, above which the text may be copied from them.
_COPIED_SHARE = 0.5


@dataclass(frozen=True)
class Hints:
    """What the decoder is to read: the prompt's tokens, and the hot words.

    `shortened` are the names of the form fields of which a part was dropped.
    """

    prompt: Sequence[int]
    hotwords: str | None
    shortened: Sequence[str]


def fitted(tokenizer: Tokenizer, prompt: str | None, hotwords: str | None) -> Hints:
    """The end of the prompt and whole hot words that fit together; each has half of the room when both are too long."""
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
    """A model's tokenizer, for what is the same in all languages."""
    return Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language="en")


def room(tokenizer: Tokenizer) -> int:
    """Tokens of hints that leave room for 224 tokens of text."""
    return _POSITIONS - _TEXT_TOKENS - len([tokenizer.sot_prev, *tokenizer.sot_sequence])


def last(tokens: Sequence[int], count: int) -> list[int]:
    """The last `count` tokens, none of them for 0."""
    return list(tokens[max(0, len(tokens) - count) :])


def encoded(tokenizer: Tokenizer, text: str | None) -> list[int]:
    """A text's tokens; names of control tokens in the text, which the tokenizer reads as such, are left out."""
    if not text or not text.strip():
        return []
    return [token for token in tokenizer.encode(" " + text.strip()) if token < tokenizer.eot]


def are_copied(text: str, hints: str) -> bool:
    """Whether most of a text is to be found in the hints, without regard to case, spaces and punctuation.

    A text of nothing else is too.
    """
    said, given = (letters(part) for part in (text, hints))
    length = min(_RUN, len(said))
    runs = _runs(said, length)
    return len(runs & _runs(given, length)) >= _COPIED_SHARE * len(runs)


def letters(text: str) -> str:
    """The letters and digits of a text."""
    return "".join(character for character in text.casefold() if character.isalnum())


def _fitting_terms(tokenizer: Tokenizer, hotwords: str, count: int) -> str:
    """The hot words, or as many of their terms, in their order, as fit into `count` tokens."""
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


def _runs(letters: str, length: int) -> set[str]:
    return {letters[start : start + length] for start in range(len(letters) - length + 1)}

"""How far a transcript is from the reference."""

import re
from pathlib import PurePath

import jiwer

# Written without spaces: there a character counts as a word does elsewhere.
_WITHOUT_SPACES = ("ja", "zh")
# Recordings in which somebody counts to ten, which models write in digits.
_COUNTING = ("counting", "conteo", "comptage", "ginti", "conteggio", "kazoeru", "liczenie", "contagem", "jishu")


def word_error_rate(reference: str, hypothesis: str) -> float:
    """Word error rate between 0 and 1 (or more), without regard to case and punctuation."""
    normalise = jiwer.Compose(
        [
            jiwer.ToLowerCase(),
            jiwer.SubstituteRegexes({r"[-\u2013\u2014\u2019']": " "}),
            jiwer.RemovePunctuation(),
            jiwer.RemoveMultipleSpaces(),
            jiwer.Strip(),
            jiwer.ReduceToListOfListOfWords(),
        ]
    )
    return float(jiwer.wer(reference, hypothesis, reference_transform=normalise, hypothesis_transform=normalise))


def errors(
    reference: str, hypothesis: str, language: str, name: str = "", *, letters: bool = False
) -> tuple[float, int]:
    """Words, or characters where words are not separated, that are wrong, and how many there are to be heard.

    `name` is the recording's file: counting may be written in words or digits. `letters` counts characters anyway.
    One word written as two, or two as one, is right: where spaces are depends on the processor's arithmetic.
    """
    references = [reference]
    if PurePath(name).stem in _COUNTING:
        references.append("1 2 3 4 5 6 7 8 9 10")
    if letters or language in _WITHOUT_SPACES:
        references, (hypothesis,) = (
            [" ".join(re.sub(r"\W", "", text)) for text in texts] for texts in (references, [hypothesis])
        )
    return min((_wrong_words(text, hypothesis), len(text.split())) for text in references)


def _wrong_words(reference: str, hypothesis: str) -> float:
    said, heard = _joined_as(reference, hypothesis), _joined_as(hypothesis, reference)
    return word_error_rate(said, heard) * len(said.split())


def _joined_as(text: str, other: str) -> str:
    """The text with pairs of words joined that the other text writes as one word."""
    known = {_letters(word) for word in other.split()}
    words: list[str] = []
    for word in text.split():
        if words and _letters(words[-1] + word) in known:
            words[-1] += word
        else:
            words.append(word)
    return " ".join(words)


def _letters(text: str) -> str:
    return re.sub(r"\W", "", text).lower()

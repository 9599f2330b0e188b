"""How far a transcript is from the reference."""

import jiwer


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

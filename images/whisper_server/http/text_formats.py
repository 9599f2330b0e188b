"""A finished transcript as text and as subtitles.

Sources: WebVTT (W3C), and for SRT, TXT and TSV, which have no specification, what players accept and Whisper's command
line writes.
"""

from collections.abc import Callable, Iterator

from whisper_server.speech.times import apart
from whisper_server.speech.transcript import UNKNOWN_SPEAKER, Segment, Transcript


def _text(transcript: Transcript) -> str:
    return f"{transcript.text}\n" if transcript.text else ""


def _txt(transcript: Transcript) -> str:
    return "".join(f"{_labelled(segment)}\n" for segment in transcript.segments)


def _tsv(transcript: Transcript) -> str:
    """Times in milliseconds; with diarization, the speaker in a column of its own."""
    diarized = any(segment.speaker for segment in transcript.segments)
    rows = [["start", "end", *(["speaker"] if diarized else []), "text"]]
    for segment in transcript.segments:
        times = [str(round(moment * 1000)) for moment in (segment.start, segment.end)]
        speaker = [segment.speaker or UNKNOWN_SPEAKER] if diarized else []
        rows.append([*times, *speaker, " ".join(segment.text.split())])
    return "".join("\t".join(row) + "\n" for row in rows)


def _labelled(segment: Segment) -> str:
    text = segment.text.strip()
    return f"[{segment.speaker}]: {text}" if segment.speaker else text


def _srt(transcript: Transcript) -> str:
    cues = _cues(transcript, ",", _labelled)
    return "".join(f"{number}\n{cue}\n\n" for number, cue in enumerate(cues, start=1))


def _vtt(transcript: Transcript) -> str:
    return "WEBVTT\n\n" + "".join(f"{cue}\n\n" for cue in _cues(transcript, ".", _voiced))


def _voiced(segment: Segment) -> str:
    """The text of a cue, with the speaker in a voice span (WebVTT, section 3.5)."""
    text = segment.text.strip()
    return f"<v {segment.speaker}>{text}" if segment.speaker else text


def _cues(transcript: Transcript, decimal_mark: str, text: Callable[[Segment], str]) -> Iterator[str]:
    """Cues that do not overlap, also for overlapping speech: players show one at a time."""
    times = apart((segment.start, segment.end) for segment in transcript.segments)
    for segment, moments in zip(transcript.segments, times, strict=True):
        start, end = (_clock(moment, decimal_mark) for moment in moments)
        # "-->" in a cue's text would end it.
        yield f"{start} --> {end}\n{text(segment).replace('-->', '->')}"


def _clock(seconds: float, decimal_mark: str) -> str:
    """Hours, minutes, seconds and milliseconds."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{decimal_mark}{milliseconds:03d}"


RENDERERS: dict[str, Callable[[Transcript], str]] = {
    "text": _text,
    "srt": _srt,
    "vtt": _vtt,
    "txt": _txt,
    "tsv": _tsv,
}

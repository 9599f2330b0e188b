#!/usr/bin/env python3
"""Meetings of known people: recordings of one voice each, joined to a conversation of any length.

`testbed/meetings.py FOLDER 5 60` writes `5-people-60-minutes.wav` and `.rttm` (NIST's format) into a folder. The same
arguments give the same meeting.

Each voice is cut at its pauses into utterances. A turn is some utterances of one person in their order; who speaks next
is drawn, people by how talkative they are. Most turns begin after a pause, some before the one before has ended, some
are a word in between. All voices are brought to one loudness, each turn differs from it by 3 dB at most, and the room
has a noise 50 dB below them. The voices repeat: they are 7 to 58 s each.
"""

from __future__ import annotations

import argparse
import sys
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
SPEECH = ROOT / ".cache" / "speech"
RATE = 16_000

Voice = Sequence[tuple[str, float, float]]
"""Where somebody speaks alone: a recording, and from when to when, in seconds; 0 is its end."""

_LIBRIVOX = "librivox/sense_and_sensibility_01_austen_64kb"

# By the CAM++ speaker embeddings of their parts each is one voice (cosine 0.7 and more on average), and no two are the
# same (below 0.6). Long ones come first, so that small meetings repeat themselves least.
VOICES: dict[str, Voice] = {
    "lecturer": [("silero/test.wav", 0, 0)],
    "dickens": [("moonshine/two_cities.wav", 3.5, 40)],
    "austen": [(f"{_LIBRIVOX}-{number}.wav", 0, 0) for number in ("0870", "0880", "0890", "0920", "0930")],
    "caller": [("pyannote/sample.wav", 15.0, 17.9), ("pyannote/sample.wav", 21.8, 27.7)],
    "called": [
        ("pyannote/sample.wav", 8.4, 9.8),
        ("pyannote/sample.wav", 11.1, 14.4),
        ("pyannote/sample.wav", 18.7, 21.4),
    ],
    "polyglot": [
        (f"audioeval/{name}.wav", 0, 0)
        for name in ("es/conteo", "es/pangrama", "pt/contagem", "pt/pangrama", "pl/liczenie", "pl/pangrama")
    ],
    "hindi": [(f"audioeval/hi/{name}.wav", 0, 0) for name in ("ginti", "namaste_duniya", "pangrama")],
    "chinese": [(f"audioeval/zh/{name}.wav", 0, 0) for name in ("jishu", "nihao_shijie", "pangrama")],
}

_FRAME = RATE // 50
# A frame this far below the loudest twentieth of a voice is no speech, and a pause of this length parts utterances.
_SILENT_DECIBELS = 24
_PAUSE_FRAMES = 9
_MARGIN_FRAMES = 2
_FEWEST_FRAMES = 20

_LOUDNESS = 0.06
_NOISE = _LOUDNESS / 10 ** (50 / 20)
_LONGEST_TURN = 30
_OVERLAPS = 0.12
_INTERJECTIONS = 0.15
# Of eight people the most talkative has three times as many turns as the least.
_RETICENCE = 0.3


@dataclass(frozen=True)
class Turn:
    """From `start` to `end`, in seconds, somebody speaks."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True)
class Meeting:
    """Mono samples at 16 kHz, and who speaks when in them; turns may overlap."""

    samples: NDArray[np.int16]
    turns: Sequence[Turn]


def meeting(people: int, minutes: float, seed: int = 0) -> Meeting:
    """A conversation of 1 to 8 people."""
    import numpy as np

    random = np.random.default_rng([people, round(minutes * 60), seed])
    names = list(VOICES)[:people]
    voices = [_utterances(VOICES[name]) for name in names]
    end = round(minutes * 60 * RATE)
    samples = random.standard_normal(end, dtype=np.float32) * _NOISE
    turns = []
    for who, start, sound in _conversation(voices, random):
        if start + len(sound) > end:
            break
        samples[start : start + len(sound)] += sound
        turns.append(Turn(start / RATE, (start + len(sound)) / RATE, names[who]))
    return Meeting(np.clip(samples * 32768, -32768, 32767).astype(np.int16), turns)


def _conversation(
    voices: Sequence[Sequence[NDArray[np.float32]]], random: np.random.Generator
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Who speaks, from which sample on, and how it sounds: endless utterances, in the order in which they begin."""
    talkative = 1 / (1 + _RETICENCE * random.permutation(len(voices)))
    ends = [0] * len(voices)
    at, who = RATE // 2, -1
    while True:
        weights = talkative * [number != who or len(voices) == 1 for number in range(len(voices))]
        who = int(random.choice(len(voices), p=weights / weights.sum()))
        is_interjection = random.random() < _INTERJECTIONS
        wanted = RATE * (0.5 if is_interjection else min(_LONGEST_TURN, random.lognormal(1.6, 0.8)))
        gain = 10 ** (random.uniform(-3, 3) / 20)
        at = begun = max(at, ends[who])
        place = int(random.integers(len(voices[who])))
        while at - begun < wanted:
            sound = voices[who][place % len(voices[who])] * gain
            yield who, at, sound
            ends[who] = at + len(sound)
            at = ends[who] + round(RATE * random.uniform(0.3, 0.6))
            place += 1
        gap = random.uniform(-1.2, -0.4) if random.random() < _OVERLAPS else random.uniform(0.1, 0.9)
        at = max(begun, ends[who] + round(RATE * gap))


def _utterances(voice: Voice) -> list[NDArray[np.float32]]:
    """What is said between two pauses, each as samples, all at one loudness."""
    import numpy as np

    parts = [part for place in voice for part in _between_pauses(_read(*place))]
    loudness = np.sqrt(np.mean(np.square(np.concatenate(parts))))
    return [part * (_LOUDNESS / loudness) for part in parts]


def _read(file: str, start: float, end: float) -> NDArray[np.float32]:
    sys.path.insert(0, str(ROOT / "images"))
    from whisper_server.speech.decoding import decode

    with decode(SPEECH / file, 10_000) as recording:
        return recording.samples(start, end or recording.seconds)


def _between_pauses(samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    import numpy as np

    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    energy = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-12)
    spoken = np.flatnonzero(energy > np.quantile(energy, 0.95) - _SILENT_DECIBELS)
    for part in np.split(spoken, np.flatnonzero(np.diff(spoken) > _PAUSE_FRAMES) + 1):
        first, last = max(0, part[0] - _MARGIN_FRAMES), part[-1] + 1 + _MARGIN_FRAMES
        if last - first >= _FEWEST_FRAMES:
            yield samples[first * _FRAME : last * _FRAME]


def write(folder: Path, people: int, minutes: float, seed: int = 0) -> tuple[Path, Path]:
    """Write a meeting as WAV, and its turns as RTTM; return the two paths."""
    made = meeting(people, minutes, seed)
    sound = folder / f"{people}-people-{minutes:g}-minutes.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(made.samples.tobytes())
    turns = sound.with_suffix(".rttm")
    lines = [
        f"SPEAKER {sound.stem} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in made.turns
    ]
    turns.write_text("".join(lines), encoding="utf-8")
    return sound, turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("people", type=int, choices=range(1, len(VOICES) + 1))
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for path in write(arguments.folder, arguments.people, arguments.minutes, arguments.seed):
        print(path)


if __name__ == "__main__":
    main()

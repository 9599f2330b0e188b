"""The WhisperX server against WhisperX's own command line, and what it takes of time and memory.

Both run in containers of the server's image, with the same models, on this machine; what is compared was measured in
turn in one run. No package carries a trained alignment model: both align with one of random weights in the real size,
which costs the same time and says nothing of the times of words.
"""

import json
import re
import statistics
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, above, below
from benchmarks.spoken_words import spoken
from benchmarks.whisperx_container import ALIGN_MODEL, CACHE, IMAGE, ROOT, Server, in_the_image, run, serving
from testbed.diarization_error_rate import Turn, diarization_error_rate, turns_of
from testbed.word_error_rate import word_error_rate

SPEECH = CACHE / "speech"
ELEVEN = SPEECH / "moonshine/beckett.wav"  # 10.0 s
CONVERSATION = SPEECH / "pyannote/sample.wav"  # 30 s
SIX_MINUTES = (
    "pyannote/sample.wav",
    *(
        f"librivox/sense_and_sensibility_01_austen_64kb-{number}.wav"
        for number in ("0870", "0880", "0890", "0920", "0930")
    ),
    "moonshine/two_cities.wav",
    "moonshine/endgame_nagg_nell.wav",
    "moonshine/beckett.wav",
    "silero/test.wav",
    "silero/aepyx.wav",
)
ROUNDS = 2
ROLE_MEGABYTES = 2 * 1024**3 / 1e6
"""`whisperx_memory` of the role."""

# IEEE, "Recommended practice for speech quality measurements" (1969): the first ten Harvard sentences.
HARVARD = (
    "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. "
    "It's easy to tell the depth of a well. These days a chicken leg is a rare dish. "
    "Rice is often served in round bowls. The juice of lemons makes fine punch. "
    "The box was thrown beside the parked truck. The hogs were fed chopped corn and garbage. "
    "Four hours of steady work faced us. A large size in stockings is hard to sell."
)

# WhisperX has its audio read by FFmpeg's program, which the image lacks: these WAV files are as it would write them.
FFMPEG = '#!/bin/sh\nexec tail --bytes=+45 "$5"\n'


MODEL = "/cache/huggingface/hub/models--Systran--faster-whisper-base/snapshots/*"


def command_line(folder: Path, *files: str, align: bool) -> tuple[float, list[str]]:
    """Seconds and texts of WhisperX's own command line with its defaults, but for this model and this machine."""
    how = f"--align_model {ALIGN_MODEL}" if align else "--no_align"
    paths = " ".join(f"/bench/{file}" for file in files)
    command = (
        f"PATH=/bench:$PATH whisperx {paths} --model {MODEL} --compute_type int8 --threads 2 --language en {how} "
        "--output_format json --output_dir /bench/out && cat "
        + " ".join(f"/bench/out/{Path(file).stem}.json" for file in files)
        + " > /bench/out.json"
    )
    start = time.monotonic()
    in_the_image(folder, command)
    seconds = time.monotonic() - start
    decoder = json.JSONDecoder()
    rest, texts = (folder / "out.json").read_text(encoding="utf-8").strip(), []
    while rest:
        answer, end = decoder.raw_decode(rest)
        texts.append(" ".join(segment["text"].strip() for segment in answer["segments"]))
        rest = rest[end:].strip()
    return seconds, texts


@dataclass(frozen=True)
class Transcribed:
    """A recording in the benchmark's folder, and what is said in it."""

    file: str
    text: str


def lay_out(folder: Path) -> list[Transcribed]:
    """Write six.wav, start.wav and the English recordings that have a transcript, 16 kHz mono; return those."""
    from whisper_server.speech.decoding import decode

    def samples(file: str) -> bytes:
        import numpy as np

        with decode(SPEECH / file, 10_000) as recording:
            content: bytes = (recording.samples(0, recording.seconds) * 32768).astype(np.int16).tobytes()
            return content

    def write(name: str, content: bytes) -> None:
        with wave.open(str(folder / name), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(16_000)
            out.writeframes(content)

    (folder / "ffmpeg").write_text(FFMPEG)
    (folder / "ffmpeg").chmod(0o755)
    write("six.wav", b"".join(samples(file) for file in SIX_MINUTES))
    write("start.wav", samples("audioeval/en/hello_world.wav"))
    transcribed = []
    for entry in json.loads((SPEECH / "speech.json").read_text()):
        if entry["language"] == "en" and entry["text"]:
            name = entry["file"].replace("/", "-")
            write(name, samples(entry["file"]))
            transcribed.append(Transcribed(name, entry["text"]))
    return transcribed


def pooled_errors(transcribed: list[Transcribed], texts: list[str]) -> float:
    """Word error rate in percent over all recordings together."""
    return 100 * word_error_rate(" ".join(entry.text for entry in transcribed), " ".join(texts))


def speed_rows(server: Server, folder: Path, transcribed: list[Transcribed]) -> list[Row]:
    """Six minutes, in turn, with and without alignment; then the texts of what has a transcript."""
    six = (folder / "six.wav").read_bytes()
    rows = []
    server.restart()
    for align in (False, True):
        ours, theirs, starts = [], [], []
        server.transcribe((folder / "start.wav").read_bytes(), align=str(align).lower())
        for number in range(ROUNDS):
            kind = "with" if align else "without"
            print(f"  six minutes {kind} alignment, {number + 1} of {ROUNDS}", flush=True)
            ours.append(server.seconds(six, align=str(align).lower()))
            theirs.append(command_line(folder, "six.wav", align=align)[0])
            starts.append(command_line(folder, "start.wav", align=align)[0])
        own, other = statistics.median(ours), statistics.median(theirs)
        how = "with an alignment model" if align else "without alignment"
        rows += [
            above(f"366 s {how}: speedup over the whisperx CLI", other / own, "x", 1.5),
            above(
                f"366 s {how}: the same, excluding the CLI's startup time ({statistics.median(starts):.1f} s)",
                (other - statistics.median(starts)) / own,
                "x",
                1.5,
            ),
        ]
        if not align:
            rows.append(above("366 s without alignment: speed relative to real time", 366.5 / own, "x", 10))
    print("  six minutes with an alignment model and speakers", flush=True)
    server.transcribe(six, diarize="true")
    _, most = server.megabytes()
    rows.append(below("peak memory during 366 s with alignment and diarization", most, "MB", ROLE_MEGABYTES))
    texts = [server.text((folder / entry.file).read_bytes(), align="false") for entry in transcribed]
    _, others = command_line(folder, *(entry.file for entry in transcribed), align=False)
    rate, limit = pooled_errors(transcribed, texts), pooled_errors(transcribed, others)
    name = f"word error rate, {len(transcribed)} English recordings (whisperx's: {limit:.2f} %)"
    rows.append(below(name, rate, "%", round(limit + 0.5, 2)))
    return rows


def voice_activity_rows(folder: Path, transcribed: list[Transcribed]) -> list[Row]:
    recordings = json.dumps([f"/bench/{file}" for file in ("six.wav", *(entry.file for entry in transcribed))])
    script = ROOT / "benchmarks" / "voice_activity.py"
    found = json.loads(
        in_the_image(
            folder, f"PYTHONPATH=/app python -W ignore - {MODEL}", "--env", f"RECORDINGS={recordings}", stdin=script
        ).splitlines()[-1]
    )
    rates = {name: pooled_errors(transcribed, result["texts"]) for name, result in found.items()}
    slower = found["pyannote"]["seconds"] / found["silero"]["seconds"]
    return [
        above("voice activity detection on 366 s: speedup of Silero over pyannote", slower, "x", 1),
        below("word error rate with Silero minus that with pyannote", rates["silero"] - rates["pyannote"], "%", 0.5),
    ]


def words_of(answer: dict[str, Any]) -> list[tuple[str, float, float]]:
    return [
        (re.sub(r"\W", "", word["word"].lower()), word["start"], word["end"])
        for segment in answer["segments"]
        for word in segment["words"]
    ]


def errors(expected: list[tuple[str, float | None, float | None]], answer: dict[str, Any]) -> list[float]:
    """Milliseconds that words begin and end from where they do, where that is known, of words that were understood."""
    found = words_of(answer)
    matcher = SequenceMatcher(None, [word for word, *_ in expected], [word for word, *_ in found], autojunk=False)
    wrong = []
    for block in matcher.get_matching_blocks():
        for number in range(block.size):
            for true, told in zip(expected[block.a + number][1:], found[block.b + number][1:], strict=True):
                if true is not None:
                    wrong.append(1000 * abs(true - told))
    return wrong


def time_stamp_rows(server: Server) -> list[Row]:
    """Attention's: espeak-ng says when words begin, the sample's STM file when utterances begin and end."""
    form = {"align": "false", "word_timestamps": "true"}
    audio, said = spoken(HARVARD, "en")
    exact: list[tuple[str, float | None, float | None]] = [
        (re.sub(r"\W", "", word.word.lower()), word.start, None) for word in said
    ]
    uttered: list[tuple[str, float | None, float | None]] = []
    for line in CONVERSATION.with_suffix(".stm").read_text().splitlines():
        _, _, _, start, end, text = line.split(maxsplit=5)
        words = [re.sub(r"\W", "", word.lower()) for word in text.split()]
        last = len(words) - 1
        uttered += [
            (word, float(start) if place == 0 else None, float(end) if place == last else None)
            for place, word in enumerate(words)
        ]
    rows = []
    for what, expected, answer in (
        ("words synthesized with espeak-ng", exact, server.transcribe(audio, **form)),
        ("utterances of sample.stm", uttered, server.transcribe(CONVERSATION.read_bytes(), **form)),
    ):
        wrong = errors(expected, answer)
        name = f"attention timestamps, {len(wrong)} {what}"
        rows += [
            below(f"{name}: median error", statistics.median(wrong), "ms", 50),
            below(f"{name}: 90th percentile", statistics.quantiles(wrong, n=10)[8], "ms", 200),
        ]
    return rows


def start_and_memory_rows(server: Server) -> list[Row]:
    clip = ELEVEN.read_bytes()
    ready, first = [], []
    for _ in range(3):
        ready.append(server.restart())
        first.append(ready[-1] + server.seconds(clip, align="false"))
    plain, _ = server.megabytes()
    server.transcribe(clip, align="false", diarize="true")
    diarized, most = server.megabytes()
    return [
        below("container start to ready", statistics.median(ready), "s", 3),
        below("container start to the first response, 10 s clip", statistics.median(first), "s", 5),
        below("resident memory after a 10 s clip", plain, "MB", 600),
        below("resident memory after a 10 s clip with diarization", diarized, "MB", 1000),
        below("peak memory with diarization", most, "MB", 1000),
    ]


def diarization_rows(server: Server) -> list[Row]:
    audio = CONVERSATION.read_bytes()
    segments = server.transcribe(audio, align="false", diarize="true")["segments"]
    turns = [Turn(segment["start"], segment["end"], segment["speaker"]) for segment in segments]
    rate = 100 * diarization_error_rate(turns_of(CONVERSATION.with_suffix(".rttm")), turns)
    added = []
    for _ in range(5):
        plain = server.seconds(audio, align="false")
        added.append(server.seconds(audio, align="false", diarize="true") - plain)
    return [
        below("time added by diarization of 30 s", statistics.median(added), "s", 3),
        below("diarization error rate (DER) of 30 s, no collar", rate, "%", 10),
    ]


def measure(*, warm: bool) -> list[Row]:
    """Measure everything; ``warm`` changes nothing here."""
    del warm
    sys.path.insert(0, str(ROOT / "images"))

    def told(part: str) -> None:
        print(f"{part} …", flush=True)

    told("the image")
    run("testbed/whisperx", "build")
    size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", IMAGE)) / 1e6
    with serving() as server, tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        folder = Path(scratch)
        transcribed = lay_out(folder)
        told("starts and memory")
        rows = start_and_memory_rows(server)
        told("diarization")
        rows += diarization_rows(server)
        told("time stamps")
        rows += time_stamp_rows(server)
        told("six minutes")
        rows += speed_rows(server, folder, transcribed)
        told("voice activity")
        rows += voice_activity_rows(folder, transcribed)
    return [*rows, below("image size of WhisperX", size, "MB", 2100)]

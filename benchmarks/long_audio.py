"""What a recording's length costs the faster-whisper server in memory: ten hours of mp3 against one.

Decoding, the search for speech and the way in stretches are the server's own; the recordings are silent but for ten
seconds in every five minutes, and the model is the smallest, so that it takes minutes and not hours.
"""

import tempfile
import wave
from pathlib import Path

import av
import numpy as np

from benchmarks.rows import Row, below, exactly
from benchmarks.whisper_faster import ELEVEN, SPEECH, URL, serving, wait_until_ready

MODEL = "Systran/faster-whisper-tiny.en"
SAMPLE_RATE = 16_000

# A recording is so many times the same: MP3 frames may follow one another in any number.
PART_SECONDS = 300
SPEECH_AT_SECONDS = 100


def part(path: Path) -> None:
    """Write five minutes of mp3 with a clip in it."""
    with wave.open(str(SPEECH / ELEVEN)) as file:
        if (file.getframerate(), file.getnchannels()) != (SAMPLE_RATE, 1):
            raise RuntimeError(f"{ELEVEN} is not mono at {SAMPLE_RATE} Hz")
        clip = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
    samples = np.zeros(PART_SECONDS * SAMPLE_RATE, dtype=np.int16)
    samples[SPEECH_AT_SECONDS * SAMPLE_RATE :][: len(clip)] = clip
    # Without the Xing header, which would state five minutes.
    with av.open(str(path), "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono", bit_rate=32_000)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16p", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def peak(hours: int, content: bytes) -> tuple[float, int]:
    """Peak of a server's memory, in MiB beyond what it takes when ready, and in how many parts it heard speech."""
    with tempfile.TemporaryFile() as recording, serving(MODEL) as server:
        for _ in range(hours * 3600 // PART_SECONDS):
            recording.write(content)
        recording.seek(0)
        wait_until_ready(server)
        form = {"model": MODEL, "language": "en", "response_format": "verbose_json"}
        with server.watched() as measured:
            answer = server.http.post(URL, files={"file": recording}, data=form, timeout=3600).raise_for_status()
    heard = {int(segment["start"]) // PART_SECONDS for segment in answer.json()["segments"]}
    return measured[1] - measured[0], len(heard)


def measure(*, warm: bool) -> list[Row]:
    """Measure both lengths; ``warm`` changes nothing here."""
    del warm
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.mp3"
        part(path)
        content = path.read_bytes()
    print("one hour …", flush=True)
    one, _ = peak(1, content)
    print("ten hours …", flush=True)
    ten, heard = peak(10, content)
    return [
        below("peak memory for one hour of mp3, on top of the idle server", one, "MB", 400),
        below("peak memory for ten hours of mp3, on top of the idle server", ten, "MB", 400),
        below("ten hours relative to one hour", ten / one, "", 1.1),
        exactly("five-minute sections of ten hours whose speech was transcribed", heard, "", 120),
    ]

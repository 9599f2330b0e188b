"""The events of WhisperX's engine, with models that are scripted; tests/whisperx_api has the real ones."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.whisper_server.scripted_engine import segment
from whisper_server.engines.whisperx import engine as module
from whisper_server.engines.whisperx.alignment import AlignModel
from whisper_server.engines.whisperx.engine import WhisperXEngine
from whisper_server.engines.whisperx.settings import WhisperXSettings
from whisper_server.engines.whisperx.turns import Turn
from whisper_server.speech.engine import Event, Reached, Stage
from whisper_server.speech.errors import DiarizationUnavailable
from whisper_server.speech.options import Options, Speakers
from whisper_server.speech.recording import Recording
from whisper_server.speech.transcript import Segment, TranscriptionInfo, Word

SPOKEN = [
    segment(0, " Good morning.", [Word(0.0, 0.4, " Good", 0.9), Word(0.4, 1.0, " morning.", 0.8)]),
    segment(1, " Fine day.", [Word(1.2, 1.5, " Fine", 0.9), Word(1.5, 2.0, " day.", 0.7)]),
]
INFO = TranscriptionInfo("fr", "attention", ("prompt",))


class Script:
    """What happens in an engine: its models' answers, and what was asked of them, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.segments = [replace(spoken, id=spoken.id + 7) for spoken in SPOKEN]
        self.refusal: Exception | None = None
        self.has_alignment = True
        self.order: list[str] = []
        self.asked: list[Options] = []
        self.engine = WhisperXEngine(WhisperXSettings(model=str(folder)))
        monkeypatch.setattr(self.engine._whisper, "transcribe", self._text)
        monkeypatch.setattr(self.engine._alignment, "model", self._alignment)
        monkeypatch.setattr(self.engine.diarization, "pipeline", self._pipeline)
        monkeypatch.setattr(module, "aligned", self._aligned)
        monkeypatch.setattr(module, "speaker_turns", self._turns)
        monkeypatch.setattr(module, "set_threads", lambda _: None)

    def _text(self, _: Recording, options: Options, reached: Reached) -> Generator[Event, None, None]:
        self.asked.append(options)
        try:
            self.order.append("text")
            yield INFO
            for number, spoken in enumerate(self.segments):
                reached("text", number / 2)
                yield spoken
        finally:
            self.order.append("text closed")

    @contextmanager
    def _alignment(self, language: str) -> Iterator[AlignModel | None]:
        self.order.append(f"alignment {language}")
        yield AlignModel(None, {}, "cpu") if self.has_alignment else None

    @contextmanager
    def _pipeline(self) -> Iterator[str]:
        if self.refusal is not None:
            raise self.refusal
        self.order.append("pipeline")
        yield "pipeline"
        self.order.append("pipeline closed")

    def _aligned(self, segments: Iterator[Segment], *_: object) -> Generator[Segment, None, None]:
        for spoken in segments:
            yield replace(spoken, start=spoken.start + 0.1)

    def _turns(self, pipeline: str, _: Recording, __: Speakers, ___: int, reached: Reached) -> list[Turn]:
        assert pipeline == "pipeline"
        reached("speakers", 0.5)
        self.order.append("turns")
        return [Turn(0.0, 1.2, "SPEAKER_00"), Turn(1.2, 2.0, "SPEAKER_01")]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    return Script(monkeypatch, tmp_path)


def events(script: Script, options: Options, stages: list[Stage] | None = None) -> list[Event]:
    told: list[Stage] = [] if stages is None else stages
    with Recording() as recording:
        return list(script.engine.transcribe(recording, options, lambda stage, _: told.append(stage)))


def test_the_info_comes_first_and_knows_of_the_alignment(script: Script) -> None:
    info, *segments = events(script, Options(model="m", align=True))
    assert info == replace(INFO, timing="aligned")
    assert [(part.id, part.start) for part in segments if isinstance(part, Segment)] == [(0, 0.1), (1, 1.1)]
    assert script.asked[0].word_timestamps
    assert script.order == ["text", "alignment fr", "text closed"]


def test_without_an_alignment_model_times_are_from_attention(script: Script) -> None:
    script.has_alignment = False
    info, *segments = events(script, Options(model="m", align=True))
    assert info == INFO
    assert [part.start for part in segments if isinstance(part, Segment)] == [0.0, 1.0]


def test_speakers_come_after_the_first_text_and_before_the_rest(script: Script) -> None:
    stages: list[Stage] = []
    info, *segments = events(script, Options(model="m", speakers=Speakers()), stages)
    assert info == INFO
    assert [part.speaker for part in segments if isinstance(part, Segment)] == ["SPEAKER_00", "SPEAKER_01"]
    assert script.order == ["pipeline", "text", "turns", "text closed", "pipeline closed"]
    assert stages == sorted(stages), "`speakers` precede `text`, also while text is only decoded to find any"


def test_where_nobody_speaks_nobody_is_diarized(script: Script) -> None:
    script.segments = []
    assert events(script, Options(model="m", speakers=Speakers(), align=True)) == [INFO]
    assert script.order == ["pipeline", "text", "text closed", "pipeline closed"]


def test_diarization_that_cannot_work_is_refused_before_any_text(script: Script) -> None:
    script.refusal = DiarizationUnavailable("no token")
    with pytest.raises(DiarizationUnavailable):
        events(script, Options(model="m", speakers=Speakers()))
    assert script.order == []


def test_closing_frees_the_models(script: Script) -> None:
    with Recording() as recording:
        found = script.engine.transcribe(recording, Options(model="m", align=True), lambda *_: None)
        assert isinstance(next(found), TranscriptionInfo)
        found.close()
    assert script.order[-1] == "text closed"

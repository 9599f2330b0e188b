"""One number for all stages of a job."""

import itertools
import time

import pytest

from whisper_server.speech.engine import Stage
from whisper_server.speech.options import Options, Speakers
from whisper_server.work.job_worker import _Report
from whisper_server.work.progress import Progress

STAGES: list[Stage] = ["decoding", "speakers", "text", "alignment"]


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("speakers", [Speakers(), None])
@pytest.mark.parametrize("task", ["transcribe", "translate"])
def test_it_rises_through_the_stages_from_0_to_1(align: bool, speakers: Speakers | None, task: str) -> None:
    options = Options(model="m", task=task, speakers=speakers, align=align)  # type: ignore[arg-type]
    asked_for = {"decoding", "text"} | ({"speakers"} if speakers else set())
    asked_for |= {"alignment"} if align and task == "transcribe" else set()
    progress = Progress(options)
    shares = [progress.share]
    for stage, tenth in itertools.product(STAGES, range(11)):
        if stage in asked_for:
            progress.reach(stage, tenth / 10)
            assert progress.stage == stage
            shares.append(progress.share)
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1)
    assert shares == sorted(shares)
    assert len({round(share, 6) for share in shares}) == 10 * len(asked_for) + 1, "each step shows"


def test_neither_stage_nor_share_goes_back() -> None:
    """Decoding begins again with another track, and text is sought before it is known who speaks."""
    progress = Progress(Options(model="m", speakers=Speakers(), align=True))
    seen: list[tuple[int, float]] = []
    for stage, share in itertools.product(STAGES, (0.0, 0.7, 0.3, 1.0, 0.0)):
        progress.reach(stage, share)
        seen.append((STAGES.index(progress.stage), progress.share))
    for stage in STAGES:
        progress.reach(stage, 0.1)
        seen.append((STAGES.index(progress.stage), progress.share))
    assert seen == sorted(seen)
    assert progress.share == pytest.approx(1)


def test_a_stage_that_is_left_out_is_made_up_for() -> None:
    """There may be nobody to tell apart, and no alignment model for a language."""
    progress = Progress(Options(model="m", speakers=Speakers(), align=True))
    progress.reach("decoding", 1)
    progress.reach("text", 0)
    assert progress.share > 0.4


def test_a_job_tells_its_progress_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store writes to the disk each time. A new stage is told at once."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    told: list[tuple[Stage, float]] = []
    report = _Report(Options(model="m"), lambda progress: told.append((progress.stage, progress.share)))
    report("decoding", 0.5)
    assert told == []
    report("text", 0.0)
    report("text", 0.1)
    assert [stage for stage, _ in told] == ["text"]
    now += 1
    report("text", 0.2)
    report("text", 0.3)
    assert [stage for stage, _ in told] == ["text", "text"]

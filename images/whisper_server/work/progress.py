"""Progress of a job over all of its stages."""

from collections.abc import Mapping

from whisper_server.speech.engine import Stage
from whisper_server.speech.options import Options

# The share of the time that each stage takes, in the order of the stages. Computed from CPU times of two Zen 4 cores,
# base in int8, the demo's pipeline: 64 minutes need 5 s of decoding, 160 s of diarization and 175 s of transcription
# (docs/performance.md). Alignment runs during transcription, and little of it remains afterwards.
_WEIGHTS: Mapping[Stage, float] = {"decoding": 1, "speakers": 47, "text": 49, "alignment": 3}
_ORDER: tuple[Stage, ...] = tuple(_WEIGHTS)


class Progress:
    """The stage of one attempt at a job, and the completed share of all work, from 0 to 1.

    Neither decreases, nor does `position`, the stage's position in the recording in seconds; it is 0 until the length
    of the recording is known.
    """

    def __init__(self, options: Options) -> None:
        not_requested: set[Stage] = set()
        if options.speakers is None:
            not_requested.add("speakers")
        if not options.align or options.task == "translate":
            not_requested.add("alignment")
        weights = {stage: 0 if stage in not_requested else weight for stage, weight in _WEIGHTS.items()}
        self._parts = {stage: weight / sum(weights.values()) for stage, weight in weights.items()}
        self.stage: Stage = "decoding"
        self.share = 0.0
        self.position = 0.0
        self.seconds = 0.0

    def reach(self, stage: Stage, share: float) -> None:
        """Updates the progress; see `Reached`."""
        if _ORDER.index(stage) < _ORDER.index(self.stage):
            return
        if stage != self.stage:
            self.stage, self.position = stage, 0.0
        self.position = max(self.position, share * self.seconds)
        before = sum(self._parts[earlier] for earlier in _ORDER[: _ORDER.index(stage)])
        self.share = max(self.share, min(1.0, before + self._parts[stage] * share))

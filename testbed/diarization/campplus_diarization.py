"""pyannote's speaker diarization with the CAM++ speaker encoder, for `config.yaml` beside this file.

pyannote imports the class by its name: this folder has to be on PYTHONPATH.

Source of the network and of its input: Wang et al., "CAM++: A fast and efficient network for speaker verification using
context-aware masking" (2023). `camplusplus.py` is the network's, from the package that carries its weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pyannote.audio import Model
from pyannote.audio.core.plda import PLDA
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.pipelines import SpeakerDiarization
from torchaudio.compliance import kaldi

_SAMPLE_RATE = 16_000
_MELS = 80
_SIZE = 192
_FEWEST_FRAMES = 30
# Three seconds tell as much as ten, in half the time.
_MOST_FRAMES = 300


class CampPlusEncoder(Model):
    """Gives for waveforms (batch, 1, samples) and weights (batch, frames) embeddings (batch, 192)."""

    dimension = _SIZE

    def __init__(self, weights: Path) -> None:
        from camplusplus import CAMPPlus

        super().__init__(sample_rate=_SAMPLE_RATE, num_channels=1)
        self.specifications = Specifications(Problem.REPRESENTATION, Resolution.CHUNK, duration=10.0)
        self.network = CAMPPlus(feat_dim=_MELS, embedding_size=_SIZE)
        self.network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        # Too little speech for an embedding is NaN to pyannote, which then leaves the window out.
        embeddings = torch.full((len(waveforms), _SIZE), torch.nan)
        for place, waveform in enumerate(waveforms[:, 0]):
            mels = kaldi.fbank(waveform[None] * 32768, num_mel_bins=_MELS, sample_frequency=_SAMPLE_RATE, dither=0.0)
            if weights is not None:
                spoken = torch.nn.functional.interpolate(weights[place, None, None], size=len(mels))[0, 0] > 0.5
                mels = mels[spoken]
            if len(mels) >= _FEWEST_FRAMES:
                mels = mels[max(0, len(mels) - _MOST_FRAMES) // 2 :][:_MOST_FRAMES]
                embeddings[place] = self.network((mels - mels.mean(dim=0))[None])[0]
        return embeddings


class CampPlusDiarization(SpeakerDiarization):
    """`SpeakerDiarization` whose embeddings are a `CampPlusEncoder`'s.

    `encoder` is what pyannote makes of `$model/FOLDER`, where `campplus_cn_en_common.pt` lies.
    """

    def __init__(self, segmentation: Any, encoder: dict[str, Any], token: Any = None, cache_dir: Any = None) -> None:
        super().__init__(
            segmentation=segmentation,
            # Windows of 10 s: every second of them found the same speakers in twice the time.
            segmentation_step=0.2,
            embedding=CampPlusEncoder(Path(encoder["checkpoint"]) / encoder["subfolder"] / "campplus_cn_en_common.pt"),
            embedding_exclude_overlap=True,
            # Not used by this clustering, but asked for: an object without content.
            plda=PLDA.__new__(PLDA),
            clustering="AgglomerativeClustering",
            token=token,
            cache_dir=cache_dir,
        )

"""pyannote's speaker diarization with Resemblyzer's GE2E speaker encoder, for `config.yaml` beside this file.

pyannote imports the class by its name: this folder has to be on PYTHONPATH.

Source of the network and of its input: Wan et al., "Generalized end-to-end loss for speaker verification" (2018), and
the hyper-parameters of the package that carries the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torchaudio
from pyannote.audio import Model
from pyannote.audio.core.plda import PLDA
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.pipelines import SpeakerDiarization

_SAMPLE_RATE = 16_000
_MELS = 40
_SIZE = 256
_LAYERS = 3
_FEWEST_FRAMES = 10
_BATCH = 32


class Ge2eEncoder(Model):
    """Gives for waveforms (batch, 1, samples) and weights (batch, frames) embeddings (batch, 256) of length 1."""

    dimension = _SIZE

    def __init__(self) -> None:
        super().__init__(sample_rate=_SAMPLE_RATE, num_channels=1)
        self.specifications = Specifications(Problem.REPRESENTATION, Resolution.CHUNK, duration=5.0)
        self.mel = torchaudio.transforms.MelSpectrogram(
            _SAMPLE_RATE, n_fft=400, hop_length=160, n_mels=_MELS, norm="slaney", mel_scale="slaney"
        )
        self.lstm = torch.nn.LSTM(_MELS, _SIZE, _LAYERS, batch_first=True)
        self.linear = torch.nn.Linear(_SIZE, _SIZE)

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        mels = self.mel(waveforms[:, 0]).transpose(1, 2)
        if weights is None:
            return self._embed(mels)
        spoken = torch.nn.functional.interpolate(weights[:, None], size=mels.shape[1])[:, 0] > 0.5
        # Too little speech for an embedding is NaN to pyannote, which then leaves the window out.
        embeddings = torch.full((len(mels), _SIZE), torch.nan)
        enough = spoken.sum(dim=1) > _FEWEST_FRAMES
        if enough.any():
            embeddings[enough] = self._embed(
                [mel[mask] for mel, mask in zip(mels[enough], spoken[enough], strict=True)]
            )
        return embeddings

    def _embed(self, mels: Sequence[torch.Tensor]) -> torch.Tensor:
        _, (hidden, _) = self.lstm(torch.nn.utils.rnn.pack_sequence(list(mels), enforce_sorted=False))
        return torch.nn.functional.normalize(torch.relu(self.linear(hidden[-1])))


class Ge2eDiarization(SpeakerDiarization):
    """`SpeakerDiarization` whose embeddings are a `Ge2eEncoder`'s.

    `encoder` is what pyannote makes of `$model/FOLDER`, where `pretrained.pt` lies.
    """

    def __init__(self, segmentation: Any, encoder: dict[str, Any], token: Any = None, cache_dir: Any = None) -> None:
        saved = torch.load(
            Path(encoder["checkpoint"]) / encoder["subfolder"] / "pretrained.pt", map_location="cpu", weights_only=True
        )
        embedding = Ge2eEncoder()
        embedding.load_state_dict(saved["model_state"], strict=False)
        super().__init__(
            segmentation=segmentation,
            embedding=embedding,
            embedding_exclude_overlap=True,
            # Not used by this clustering, but asked for: an object without content.
            plda=PLDA.__new__(PLDA),
            embedding_batch_size=_BATCH,
            segmentation_batch_size=_BATCH,
            clustering="AgglomerativeClustering",
            token=token,
            cache_dir=cache_dir,
        )

"""Makes alignment models whose weights are random: `python alignment.py FOLDER`, in the image of WhisperX.

No package carries a model that was trained. What they say of the sound means nothing, so they prove that models are
found, loaded and asked, and what becomes of their answer; they prove nothing of the accuracy of times.

- FOLDER/small: a wav2vec 2.0 model in the layout of Hugging Face, with some ten thousand parameters. Its characters
  are the letters from a to z and the apostrophe.
- FOLDER/broken: the same, with half of its weights' file.
- FOLDER/torch: the home of torch, with the model that WhisperX takes from torchaudio for French, in its real size.
"""

from __future__ import annotations

import json
import string
import sys
from pathlib import Path

import torch
import torchaudio
import transformers


def main(folder: Path) -> None:
    torch.manual_seed(0)
    write_small(folder / "small")
    write_small(folder / "broken")
    weights = folder / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    write_french(folder / "torch" / "hub" / "checkpoints")


def write_small(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    characters = ["<pad>", "<s>", "</s>", "<unk>", "|", *string.ascii_lowercase, "'"]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({character: number for number, character in enumerate(characters)}))
    transformers.Wav2Vec2Processor(
        feature_extractor=transformers.Wav2Vec2FeatureExtractor(),
        tokenizer=transformers.Wav2Vec2CTCTokenizer(str(vocabulary)),
    ).save_pretrained(folder)
    # Strides and kernels are the real ones: a frame of 20 ms, and no answer to less than 25 ms of sound.
    config = transformers.Wav2Vec2Config(
        vocab_size=len(characters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)


def write_french(checkpoints: Path) -> None:
    bundle = torchaudio.pipelines.VOXPOPULI_ASR_BASE_10K_FR
    checkpoints.mkdir(parents=True, exist_ok=True)
    # The bundle drops from the last layer what stands for nothing that French has.
    parameters = dict(bundle._params)
    parameters["aux_num_out"] += len(bundle._remove_aux_axis)
    model = torchaudio.models.wav2vec2_model(**parameters)
    torch.save(model.state_dict(), checkpoints / bundle._path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

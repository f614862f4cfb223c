"""An English Whisper model of two megabytes that answers everything with one sentence.

Its layers add nothing, so the position alone decides what the decoder says: the vector of each is a
row of the identity, and the projection turns that row into the token wanted there.
"""

from pathlib import Path
from typing import Any

import numpy as np

WORDS = ("Still", "water", "listens")
END_S = 1.0
WIDTH = 64


def build(folder: Path) -> Path:
    """Write the three files of a model into `folder`."""
    from ctranslate2.specs.whisper_spec import WhisperSpec
    from faster_whisper.tokenizer import _LANGUAGE_CODES
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir()
    plain = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(f"Ġ{word}" for word in WORDS)]
    special = [
        *("endoftext", "startoftranscript", *_LANGUAGE_CODES, "translate", "transcribe"),
        *("startoflm", "startofprev", "nospeech", "notimestamps"),
        *(f"{step * 0.02:.2f}" for step in range(1501)),
    ]
    tokenizer = Tokenizer(models.BPE({token: at for at, token in enumerate(plain)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in special])
    tokenizer.save(str(folder / "tokenizer.json"))

    spec = WhisperSpec(1, 1, 1, 1)
    _fill_encoder(spec.encoder)
    wanted = ["<|0.00|>", *(f"Ġ{word}" for word in WORDS), f"<|{END_S:.2f}|>", "<|endoftext|>"]
    tokens = [tokenizer.id_to_token(at) for at in range(len(plain) + len(special))]
    _fill_decoder(spec.decoder, [tokens.index(token) for token in wanted], len(tokens))
    spec.register_vocabulary(tokens)
    spec.config.lang_ids = [tokens.index(f"<|{code}|>") for code in _LANGUAGE_CODES]
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.save(str(folder))
    return folder


def _fill_encoder(encoder: Any) -> None:
    for conv, n_channels in ((encoder.conv1, 80), (encoder.conv2, WIDTH)):
        conv.weight, conv.bias = _random(WIDTH, n_channels, 3), _random(WIDTH)
    encoder.position_encodings.encodings = _random(1500, WIDTH)
    _fill_norm(encoder.layer_norm)
    for layer in encoder.layer:
        _fill_attention(layer.self_attention, 3 * WIDTH, WIDTH)
        _fill_feed_forward(layer.ffn)


def _fill_decoder(decoder: Any, wanted: list[int], n_tokens: int) -> None:
    positions = np.tile(np.eye(WIDTH, dtype=np.float32), (7, 1))  # 448 of them
    projection = np.zeros((n_tokens, WIDTH), np.float32)
    for at, token in enumerate(wanted):
        projection[token, at] = 10
    projection[wanted[-1], len(wanted) :] = 10
    decoder.embeddings.weight = np.zeros_like(projection)
    decoder.position_encodings.encodings = positions
    decoder.projection.weight = projection
    _fill_norm(decoder.layer_norm)
    for layer in decoder.layer:
        _fill_attention(layer.self_attention, 3 * WIDTH, WIDTH)
        _fill_attention(layer.attention, WIDTH, 2 * WIDTH, WIDTH)
        _fill_feed_forward(layer.ffn)


def _fill_attention(attention: Any, *n_outputs: int) -> None:
    _fill_norm(attention.layer_norm)
    for linear, n in zip(attention.linear, n_outputs, strict=True):
        linear.weight, linear.bias = _random(n, WIDTH), _random(n)
    attention.linear[-1].weight = np.zeros((WIDTH, WIDTH), np.float32)
    attention.linear[-1].bias = np.zeros(WIDTH, np.float32)


def _fill_feed_forward(layer: Any) -> None:
    _fill_norm(layer.layer_norm)
    for linear in (layer.linear_0, layer.linear_1):
        linear.weight = np.zeros((WIDTH, WIDTH), np.float32)
        linear.bias = np.zeros(WIDTH, np.float32)


def _fill_norm(norm: Any) -> None:
    norm.gamma, norm.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)


def _random(*shape: int) -> Any:
    return np.random.default_rng(1).normal(0, 0.1, shape).astype(np.float32)

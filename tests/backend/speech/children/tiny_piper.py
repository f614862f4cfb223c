"""A Piper voice of a few kilobytes: inputs and output of a real one, a hum inside."""

import json
from pathlib import Path
from typing import Any

SAMPLE_RATE = 16_000
SAMPLES_PER_PHONEME = 800
HUM_HZ = 150
SYMBOLS = "_^$ !'(),-.:;?abcdefghijklmnopqrstuvwxyzæçðøħŋœɐɑɔəɚɛɜɡɪɫɹɾʃʊʌʒʔˈˌː\u0329\u0303θ"  # noqa: RUF001 - IPA


def build(path: Path, *, sample_rate: int = SAMPLE_RATE) -> Path:
    """Write `path` and its `.json`: a hum as long as there are phonemes times length scale."""
    from onnx import TensorProto, helper, save

    def constant(name: str, kind: int, shape: list[int], values: list[float]) -> Any:
        return helper.make_node(
            "Constant", [], [name], value=helper.make_tensor(name, kind, shape, values)
        )

    step = 2 * 3.141592653589793 * HUM_HZ / sample_rate
    nodes = [
        constant("each", TensorProto.FLOAT, [], [SAMPLES_PER_PHONEME]),
        constant("zero", TensorProto.FLOAT, [], [0]),
        constant("one", TensorProto.FLOAT, [], [1]),
        constant("step", TensorProto.FLOAT, [], [step]),
        constant("loud", TensorProto.FLOAT, [], [0.5]),
        constant("second", TensorProto.INT64, [], [1]),
        constant("first", TensorProto.INT64, [], [0]),
        constant("shape", TensorProto.INT64, [4], [1, 1, 1, -1]),
        helper.make_node("Gather", ["input_lengths", "first"], ["n_phonemes"]),
        helper.make_node("Cast", ["n_phonemes"], ["phonemes"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["scales", "second"], ["length_scale"]),
        helper.make_node("Mul", ["phonemes", "each"], ["plain"]),
        helper.make_node("Mul", ["plain", "length_scale"], ["n_samples"]),
        helper.make_node("Range", ["zero", "n_samples", "one"], ["times"]),
        helper.make_node("Mul", ["times", "step"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["sine"]),
        helper.make_node("Mul", ["sine", "loud"], ["hum"]),
        helper.make_node("Reshape", ["hum", "shape"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, [1, None]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, str(path))
    config = {
        "audio": {"sample_rate": sample_rate},
        "espeak": {"voice": "en-us"},
        "num_symbols": len(SYMBOLS),
        "num_speakers": 1,
        "speaker_id_map": {},
        "inference": {"length_scale": 1.0},
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(SYMBOLS)},
    }
    Path(f"{path}.json").write_text(json.dumps(config), "utf-8")
    return path

"""Writes a model of a well-known shape with random weights: enough to measure speed, useless to talk to.

    python random_model.py SHAPE FOLDER [--bits 4] [--group-size 64] [--dtype bfloat16]

It needs mlx-lm. SHAPE is one of the names in SHAPES.
"""

import argparse
import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_map
from mlx_lm.utils import _get_classes, quantize_model, save_model

# The numbers of the published config.json files (Qwen, Apache-2.0).
QWEN3 = {
    "model_type": "qwen3",
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "vocab_size": 151936,
    "num_key_value_heads": 8,
    "eos_token_id": 151645,
}
SHAPES = {
    "qwen3-0.6b": QWEN3
    | {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_attention_heads": 16,
        "num_hidden_layers": 28,
        "tie_word_embeddings": True,
    },
    "qwen3-8b": QWEN3
    | {
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "tie_word_embeddings": False,
    },
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bits", type=int, help="quantise to so many bits")
    parser.add_argument("--group-size", type=int, default=64)
    parser.add_argument("--dtype", default="bfloat16")
    arguments = parser.parse_args()

    mx.random.seed(0)
    config = dict(SHAPES[arguments.shape])
    model_class, arguments_class = _get_classes(config)
    model = model_class(arguments_class.from_dict(config))
    dtype = getattr(mx, arguments.dtype)
    model.update(tree_map(lambda weight: weight.astype(dtype), model.parameters()))
    if arguments.bits:
        model, config = quantize_model(model, config, arguments.group_size, arguments.bits)
    mx.eval(model.parameters())

    arguments.folder.mkdir(parents=True, exist_ok=True)
    save_model(arguments.folder, model)
    (arguments.folder / "config.json").write_text(json.dumps(config, indent=2))


if __name__ == "__main__":
    main()

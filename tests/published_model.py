"""A folder as sentence-transformers saves one, with a tiny BERT of random weights."""

import json

import torch
from safetensors.torch import save_file

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh", *(f"##{letter}" for letter in "abcdefgh")]
D, HEADS, LAYERS, INNER, POSITIONS = 8, 2, 3, 12, 10


def write_model(folder, **changes):
    """Write the folder and return the weights."""
    folder.mkdir()
    config = {"model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    config |= {"layer_norm_eps": 1e-12, "max_position_embeddings": POSITIONS}
    (folder / "config.json").write_text(json.dumps(config | changes))
    (folder / "vocab.txt").write_text("\n".join(NAMES) + "\n")
    generator = torch.Generator().manual_seed(1)
    shapes = {"embeddings.word_embeddings": (len(NAMES), D), "embeddings.position_embeddings": (POSITIONS, D)}
    shapes |= {"embeddings.token_type_embeddings": (2, D), "embeddings.LayerNorm": D}
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        shapes |= {f"{name}attention.self.{part}": (D, D) for part in ("query", "key", "value")}
        shapes |= {f"{name}attention.output.dense": (D, D), f"{name}attention.output.LayerNorm": D}
        shapes |= {f"{name}intermediate.dense": (INNER, D), f"{name}output.dense": (D, INNER)}
        shapes |= {f"{name}output.LayerNorm": D}
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) / 2
        if "_embeddings" not in name:
            rows = shape if isinstance(shape, int) else shape[0]
            weights[f"{name}.bias"] = torch.randn(rows, generator=generator) / 2
    save_file(weights, folder / "model.safetensors")
    return weights

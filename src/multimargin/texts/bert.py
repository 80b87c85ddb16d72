"""Sentence encoders of BERT's kind in plain PyTorch, from the files that they are published in."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import embedding, gelu, layer_norm, linear, normalize, scaled_dot_product_attention

from multimargin import checks
from multimargin.texts.word_pieces import WordPieces, by_length

_FILES = ("config.json", "vocab.txt", "model.safetensors")
_BATCH = 64


class BertEncoder:
    r"""Embeds sentences as a published encoder of BERT's kind does: mean of the last layer's tokens, at length 1.

    Reads a folder as sentence-transformers writes it, of which it needs ``config.json``, ``vocab.txt`` and
    ``model.safetensors``; asks for no package beside PyTorch, and for no network.

    Args:
        folder: where the files are.

    Raises:
        ArgumentError: the folder does not hold such a model; see ``problem``.
    Source:
        Devlin et al. 2018, arXiv 1810.04805; Reimers and Gurevych 2019, arXiv 1908.10084 (mean pooling); Wang et al.
        2020, arXiv 2002.10957 (MiniLM).
    Differs:
        from sentence-transformers: none known but the last bits.
    """

    def __init__(self, folder: Path):
        if found := problem(folder):
            checks.fail("encoder", "be the folder of a sentence encoder of BERT's kind", str(folder), found)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        tokens = _json(folder / "tokenizer_config.json")
        length = min(_json(folder / "sentence_bert_config.json").get("max_seq_length") or 512, 512)
        self.tokenise = WordPieces.read(
            folder / "vocab.txt", lower=tokens.get("do_lower_case", True), length=min(length, _positions(config))
        )
        self._weights = {
            name.removeprefix("bert."): value.float() for name, value in load_file(folder / "model.safetensors").items()
        }
        self._layers, self._heads = config["num_hidden_layers"], config["num_attention_heads"]
        self._eps = config["layer_norm_eps"]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (len(texts), D) vectors of length 1."""
        width = self._weights["embeddings.word_embeddings.weight"].shape[1]
        result = np.empty((len(texts), width), dtype=np.float32)
        with torch.inference_mode():
            for places in by_length(texts, _BATCH):
                tokens, mask = map(torch.from_numpy, self.tokenise([texts[place] for place in places]))
                result[places] = self._embed(tokens, mask).numpy()
        return result

    def _embed(self, tokens: Tensor, mask: Tensor) -> Tensor:
        weights = self._weights
        states = embedding(tokens, weights["embeddings.word_embeddings.weight"])  # (B, L, D)
        states = states + weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        states = self._norm("embeddings.LayerNorm", states + weights["embeddings.token_type_embeddings.weight"][0])
        for layer in range(self._layers):
            states = self._layer(f"encoder.layer.{layer}.", states, mask)
        kept = mask[..., None].float()
        return normalize((states * kept).sum(1) / kept.sum(1), dim=-1)

    def _layer(self, name: str, states: Tensor, mask: Tensor) -> Tensor:
        parts = [self._linear(f"{name}attention.self.{part}", states) for part in ("query", "key", "value")]
        heads = (*states.shape[:2], self._heads, -1)
        query, key, value = (part.reshape(heads).transpose(1, 2) for part in parts)  # (B, H, L, D/H)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        mixed = self._linear(f"{name}attention.output.dense", mixed.transpose(1, 2).flatten(2))
        states = self._norm(f"{name}attention.output.LayerNorm", mixed + states)
        inner = gelu(self._linear(f"{name}intermediate.dense", states))
        return self._norm(f"{name}output.LayerNorm", self._linear(f"{name}output.dense", inner) + states)

    def _linear(self, name: str, states: Tensor) -> Tensor:
        return linear(states, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, states: Tensor) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return layer_norm(states, weight.shape, weight, bias, self._eps)


def problem(folder: Path) -> str:
    """Return why ``BertEncoder`` cannot read a folder, in a sentence; nothing if it can."""
    if missing := [name for name in _FILES if not (folder / name).is_file()]:
        return f"It has no {' and no '.join(missing)}."
    config = _json(folder / "config.json")
    asked = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    if wrong := [f"{key} {config[key]!r}" for key, value in asked.items() if config.get(key, value) != value]:
        return f"It has {' and '.join(wrong)}."
    pooling = _json(folder / "1_Pooling" / "config.json")
    others = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value is True]
    return f"It pools by {others[0]}." if others not in ([], ["pooling_mode_mean_tokens"]) else ""


def _positions(config: dict[str, Any]) -> int:
    return int(config["max_position_embeddings"])


def _json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing where there is none."""
    found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found if isinstance(found, dict) else {}

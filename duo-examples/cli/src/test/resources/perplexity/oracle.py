#!/usr/bin/env python3
"""Perplexity of a Llama checkpoint on an ASCII text in float64, with numpy only: the source of PerplexityCommandTest's figures.

It shares nothing with the product: its own safetensors reader, byte-level BPE, forward pass and attention masks.

    oracle.py MODEL_DIR TEXT CONTEXT [CHUNK SINK RECENT HEADS.tsv]

With the last four, KV heads whose value in the table is below 0.5 stream in upstream's way: a query sees the first SINK and
the last RECENT tokens before its chunk of CHUNK tokens, and its chunk causally.
"""
import json
import re
import struct
import sys

import numpy as np

model, text_file, context = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = json.load(open(model + "/config.json"))
text = open(text_file, encoding="ascii").read()


def weights(file):
    with open(file, "rb") as f:
        data = f.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["dtype"] == "BF16"
            begin, end = (8 + size + x for x in entry["data_offsets"])
            bits = np.frombuffer(data[begin:end], dtype="<u2").astype(np.uint32) << 16
            tensors[name] = bits.view(np.float32).astype(np.float64).reshape(entry["shape"])
    return tensors


def tokenise():
    tokenizer = json.load(open(model + "/tokenizer.json", encoding="utf-8"))
    vocab = tokenizer["model"]["vocab"]
    ranks = {tuple(m if isinstance(m, list) else m.split(" ")): i for i, m in enumerate(tokenizer["model"]["merges"])}
    # The pattern of tokenizer.json with its Unicode classes narrowed to ASCII.
    pattern = re.compile(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]{1,3}| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    ids = [config["bos_token_id"]]
    for word in pattern.findall(text):
        # Byte-level BPE writes printable ASCII as itself and moves the rest up by 256.
        parts = [c if 33 <= ord(c) <= 126 else chr(256 + ord(c)) for c in word]
        while len(parts) > 1:
            rank, at = min((ranks.get((parts[i], parts[i + 1]), 1 << 30), i) for i in range(len(parts) - 1))
            if rank == 1 << 30:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        ids += [vocab[part] for part in parts]
    return ids


def visible(length, streaming):
    i, j = np.arange(length)[:, None], np.arange(length)[None, :]
    mask = j <= i
    if streaming:
        start = i // chunk * chunk
        mask &= (j < sink) | (j >= start - recent)
    return mask


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + config["rms_norm_eps"]) * weight


def rotate(x):
    length, _, dim = x.shape
    # Frequencies are float32, as in the reference implementation; the angles are not.
    theta = np.float32(config["rope_theta"])
    frequency = (np.float32(1) / theta ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim))).astype(np.float64)
    angle = np.arange(length)[:, None] * frequency[None, :]
    cos, sin = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]
    a, b = x[..., : dim // 2], x[..., dim // 2 :]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def window_loss(w, ids):
    n, heads, kv, dim = len(ids), config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    x = w["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        h = norm(x, w[p + "input_layernorm.weight"])
        q, k, v = (h @ w[p + f"self_attn.{name}_proj.weight"].T for name in "qkv")
        q, k, v = rotate(q.reshape(n, heads, dim)), rotate(k.reshape(n, kv, dim)), v.reshape(n, kv, dim)
        out = np.empty((n, heads, dim))
        for head in range(heads):
            group = head // (heads // kv)
            scores = q[:, head] @ k[:, group].T / np.sqrt(dim)
            scores = np.where(visible(n, not retrieval[layer][group]), scores, -np.inf)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            out[:, head] = scores / scores.sum(-1, keepdims=True) @ v[:, group]
        x = x + out.reshape(n, heads * dim) @ w[p + "self_attn.o_proj.weight"].T
        h = norm(x, w[p + "post_attention_layernorm.weight"])
        gate, up = h @ w[p + "mlp.gate_proj.weight"].T, h @ w[p + "mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[p + "mlp.down_proj.weight"].T
    logits = norm(x, w["model.norm.weight"]) @ w["model.embed_tokens.weight"].T
    logits = logits - logits.max(-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -log_p[np.arange(n - 1), ids[1:]].sum()


if len(sys.argv) > 4:
    chunk, sink, recent = (int(x) for x in sys.argv[4:7])
    retrieval = np.loadtxt(sys.argv[7]) >= 0.5
else:
    retrieval = np.ones((config["num_hidden_layers"], config["num_key_value_heads"]), dtype=bool)
w, ids = weights(model + "/model.safetensors"), tokenise()
windows = [ids[i : i + context] for i in range(0, len(ids) - 1, context)]
tokens = sum(len(window) - 1 for window in windows)
loss = sum(window_loss(w, np.array(window)) for window in windows)
print(json.dumps({"perplexity": float(np.exp(loss / tokens)), "tokens": tokens, "windows": len(windows)}))

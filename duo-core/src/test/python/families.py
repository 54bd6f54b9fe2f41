"""Writes small checkpoints of random weights, one per model family, with answers computed in float64 by numpy.

    python3 families.py ../resources/checkpoints

The forward pass below is written from the definition of the models, one token after another where a mask matters, and
shares nothing with the Java code. Weights are stored in BF16 or F16 and read back, so both sides see the same numbers;
RoPE frequencies are rounded to float32, as transformers keeps them.
"""
import json, os, struct, sys
import numpy as np

FAMILIES = {
    # q and k norm, head_dim that is not hidden / heads, tied embeddings, new style config
    "qwen3": dict(model_type="qwen3", heads=4, kv=2, dim=10, tied=True, qk_norm=True, theta=1e6, dtype="bfloat16", new=True),
    # no bias anywhere, head_dim null, untied
    "mistral": dict(model_type="mistral", heads=4, kv=1, dim=8, tied=False, theta=1e4, dtype="float16", null_dim=True),
    # biases of q, k, v, o and of the feed-forward layer
    "llama-bias": dict(model_type="llama", heads=4, kv=4, dim=8, tied=False, bias=True, theta=5e5, dtype="bfloat16"),
}
HIDDEN, FFN, LAYERS, VOCAB, EPS = 32, 48, 3, 64, 1e-6


def round_to(x, dtype):
    x = x.astype(np.float32)
    if dtype == "float16":
        return x.astype(np.float16).astype(np.float64)
    u = x.view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) & 0xFFFF0000).view(np.float32).astype(np.float64)


def weights(f, rng):
    w, q, kv = {}, f["heads"] * f["dim"], f["kv"] * f["dim"]
    m = lambda *s: round_to(rng.normal(0, 0.25, s), f["dtype"])
    n = lambda s: round_to(1 + rng.normal(0, 0.2, s), f["dtype"])
    w["model.embed_tokens.weight"] = m(VOCAB, HIDDEN)
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        a = p + "self_attn."
        w[p + "input_layernorm.weight"], w[p + "post_attention_layernorm.weight"] = n(HIDDEN), n(HIDDEN)
        for name, out, inp in (("q", q, HIDDEN), ("k", kv, HIDDEN), ("v", kv, HIDDEN), ("o", HIDDEN, q)):
            w[a + name + "_proj.weight"] = m(out, inp)
            if f.get("bias"):
                w[a + name + "_proj.bias"] = m(out)
        if f.get("qk_norm"):
            w[a + "q_norm.weight"], w[a + "k_norm.weight"] = n(f["dim"]), n(f["dim"])
        for name, out, inp in (("gate", FFN, HIDDEN), ("up", FFN, HIDDEN), ("down", HIDDEN, FFN)):
            w[p + f"mlp.{name}_proj.weight"] = m(out, inp)
            if f.get("bias"):
                w[p + f"mlp.{name}_proj.bias"] = m(out)
    w["model.norm.weight"] = n(HIDDEN)
    if not f["tied"]:
        w["lm_head.weight"] = m(VOCAB, HIDDEN)
    return w


def save(path, w, dtype):
    header, blobs, at = {}, [], 0
    for name in sorted(w):
        x = w[name].astype(np.float32)
        raw = x.astype(np.float16).tobytes() if dtype == "float16" else (x.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        header[name] = dict(dtype="F16" if dtype == "float16" else "BF16", shape=list(x.shape), data_offsets=[at, at + len(raw)])
        at += len(raw)
        blobs.append(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


class Reference:
    """Keys and values of every token are kept for ever; masks decide what a query sees."""

    def __init__(self, f, w):
        self.f, self.w = f, w
        self.inv = (1 / np.power(np.float32(f["theta"]), np.arange(0, f["dim"], 2, dtype=np.float32) / np.float32(f["dim"]))).astype(np.float64)

    def norm(self, x, g):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * g

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w.get(name + ".bias", 0)

    def rope(self, x):
        angle = np.arange(x.shape[0])[:, None] * self.inv
        c, s, h = np.cos(angle)[:, None], np.sin(angle)[:, None], self.f["dim"] // 2
        a, b = x[..., :h], x[..., h:]
        return np.concatenate([a * c - b * s, b * c + a * s], -1)

    def logits(self, ids, visible):
        """visible[layer][kv head]: boolean [tokens, tokens]."""
        f, w, t = self.f, self.w, len(ids)
        x = w["model.embed_tokens.weight"][ids]
        for i in range(LAYERS):
            p = f"model.layers.{i}."
            a = p + "self_attn."
            h = self.norm(x, w[p + "input_layernorm.weight"])
            q = self.linear(h, a + "q_proj").reshape(t, f["heads"], f["dim"])
            k = self.linear(h, a + "k_proj").reshape(t, f["kv"], f["dim"])
            v = self.linear(h, a + "v_proj").reshape(t, f["kv"], f["dim"])
            if f.get("qk_norm"):
                q, k = self.norm(q, w[a + "q_norm.weight"]), self.norm(k, w[a + "k_norm.weight"])
            q, k = self.rope(q), self.rope(k)
            out = np.empty_like(q)
            for head in range(f["heads"]):
                g = head // (f["heads"] // f["kv"])
                s = np.where(visible[i][g], q[:, head] @ k[:, g].T / np.sqrt(f["dim"]), -np.inf)
                e = np.exp(s - s.max(-1, keepdims=True))
                out[:, head] = e / e.sum(-1, keepdims=True) @ v[:, g]
            x = x + self.linear(out.reshape(t, -1), a + "o_proj")
            h = self.norm(x, w[p + "post_attention_layernorm.weight"])
            gate = self.linear(h, p + "mlp.gate_proj")
            x = x + self.linear(gate / (1 + np.exp(-gate)) * self.linear(h, p + "mlp.up_proj"), p + "mlp.down_proj")
        head = w["model.embed_tokens.weight"] if f["tied"] else w["lm_head.weight"]
        return self.norm(x[-1], w["model.norm.weight"]) @ head.T


def visibility(f, tokens, mask, sink, recent, chunk, prompt, window):
    """What every query sees: chunks of the prompt, then one token at a time."""
    i, j = np.arange(tokens)[:, None], np.arange(tokens)[None]
    begin = np.where(i < prompt, i // chunk * chunk, i)
    causal = j <= i
    streaming = causal & ((j < sink) | (i - j <= recent)) if window else causal & ((j >= begin - recent) | (j < sink))
    return [[causal if mask[layer][head] else streaming for head in range(f["kv"])] for layer in range(LAYERS)]


def greedy(reference, f, ids, count, see):
    ids, chosen, first = list(ids), [], None
    for _ in range(count):
        row = reference.logits(ids, see(len(ids)))
        first = row if first is None else first
        top = np.sort(row)[-2:]
        assert top[1] - top[0] > 1e-3, "a tie would make the test fragile; change the seed"
        chosen.append(int(row.argmax()))
        ids.append(chosen[-1])
    return [round(float(x), 6) for x in first], chosen


def main(target):
    for name, f in FAMILIES.items():
        rng = np.random.default_rng(1)
        w = weights(f, rng)
        directory = os.path.join(target, name)
        os.makedirs(directory, exist_ok=True)
        config = dict(
            architectures=[{"qwen3": "Qwen3ForCausalLM", "mistral": "MistralForCausalLM", "llama": "LlamaForCausalLM"}[f["model_type"]]],
            model_type=f["model_type"], hidden_size=HIDDEN, intermediate_size=FFN, num_hidden_layers=LAYERS,
            num_attention_heads=f["heads"], num_key_value_heads=f["kv"], head_dim=None if f.get("null_dim") else f["dim"],
            vocab_size=VOCAB, rms_norm_eps=EPS, max_position_embeddings=512, hidden_act="silu",
            tie_word_embeddings=f["tied"], bos_token_id=1, eos_token_id=2)
        if f["model_type"] == "llama":
            config.update(attention_bias=True, mlp_bias=True)
        if f["model_type"] == "qwen3":
            config.update(attention_bias=False, use_sliding_window=False, sliding_window=None)
        if f["model_type"] == "mistral":
            config.update(sliding_window=None)
        if f.get("new"):
            config.update(dtype=f["dtype"], rope_parameters=dict(rope_type="default", rope_theta=f["theta"]))
        else:
            config.update(torch_dtype=f["dtype"], rope_theta=f["theta"], rope_scaling=None)
        json.dump(config, open(os.path.join(directory, "config.json"), "w"), indent=1)
        save(os.path.join(directory, "model.safetensors"), w, f["dtype"])
        reference, prompts, duo = Reference(f, w), [], []
        everything = [[1] * f["kv"] for _ in range(LAYERS)]
        for tokens in (1, 13, 90):
            ids = [int(x) for x in rng.integers(3, VOCAB, tokens)]
            row, chosen = greedy(reference, f, ids, 6, lambda n: visibility(f, n, everything, 0, 1, 1, tokens, False))
            prompts.append(dict(ids=ids, logits_last=row, greedy=chosen))
        for sink, recent, chunk, window in ((2, 9, 16, False), (0, 5, 7, False), (4, 12, 1, False), (3, 10, 1, True)):
            mask = [[int(x) for x in rng.integers(0, 2, f["kv"])] for _ in range(LAYERS)]
            ids = [int(x) for x in rng.integers(3, VOCAB, 75)]
            row, chosen = greedy(reference, f, ids, 6, lambda n: visibility(f, n, mask, sink, recent, chunk, 75, window))
            duo.append(dict(mask=mask, sink=sink, recent=recent, chunk=chunk, ids=ids, logits_last=row, greedy=chosen))
        json.dump(dict(prompts=prompts, duo=duo), open(os.path.join(directory, "expected.json"), "w"))


if __name__ == "__main__":
    main(sys.argv[1])

"""Writes small quantised checkpoints with answers computed in float64 by numpy on the dequantised weights.

    python3 quantized.py ../resources/checkpoints

Packing follows the publications of the formats: compressed-tensors (pack_to_int32: codes offset by half their range, along
the row, zero points along the column), AutoAWQ (gemm: eight outputs per word in the order 0 2 4 6 1 3 5 7) and AutoGPTQ
(eight inputs per word, zero points less one; gptq_v2 without). Codes, scales and zero points are drawn at random: what is
tested is what they mean, not how they are chosen. Shares the forward pass of families.py and nothing with the Java code.
"""
import json, os, struct, sys
import numpy as np
import families as fam

fam.HIDDEN, fam.FFN, fam.LAYERS = 64, 96, 2
F = dict(model_type="llama", heads=4, kv=2, dim=16, tied=False, theta=1e4, dtype="float16")
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def pack(codes, bits):
    """Along the last axis, lowest bits first, padded to whole words."""
    per = 32 // bits
    codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % per)])
    codes = codes.reshape(*codes.shape[:-1], -1, per).astype(np.uint32)
    return (codes << (np.arange(per, dtype=np.uint32) * bits)).sum(-1, dtype=np.uint64).astype(np.uint32).view(np.int32)


def draw(rng, out, inp, bits, group, asymmetric, scale_type):
    groups = inp // group
    codes = rng.integers(0, 1 << bits, (out, inp))
    half = 1 << bits - 1
    zeros = rng.integers(1, 1 << bits, (out, groups)) if asymmetric else np.full((out, groups), half)
    scales = rng.uniform(0.5, 1.5, (out, groups)) * 0.9 / (1 << bits)
    scales = fam.round_to(scales, "bfloat16" if scale_type == "BF16" else "float16") if scale_type != "F32" else scales.astype(np.float32).astype(np.float64)
    weight = (codes - np.repeat(zeros, group, 1)) * np.repeat(scales, group, 1)
    return codes, zeros, scales, weight


def compressed(name, codes, zeros, scales, bits, asymmetric, scale_type):
    out = {name + ".weight_packed": ("I32", pack(codes, bits)),
           name + ".weight_scale": (scale_type, scales),
           name + ".weight_shape": ("I64", np.array(codes.shape, np.int64))}
    if asymmetric:
        out[name + ".weight_zero_point"] = ("I32", np.ascontiguousarray(pack(zeros.T, bits).T))
    return out


def awq(name, codes, zeros, scales, *_):
    shuffle = lambda x: x.reshape(x.shape[0], -1, 8)[:, :, AWQ_ORDER].reshape(x.shape)
    return {name + ".qweight": ("I32", pack(shuffle(codes.T), 4)), name + ".qzeros": ("I32", pack(shuffle(zeros.T), 4)),
            name + ".scales": ("F16", np.ascontiguousarray(scales.T))}


def gptq(less):
    def tensors(name, codes, zeros, scales, bits, *_):
        inputs = codes.shape[1]
        return {name + ".qweight": ("I32", np.ascontiguousarray(pack(codes, bits).T)),
                name + ".qzeros": ("I32", pack(zeros.T - less, bits)),
                name + ".scales": ("F16", np.ascontiguousarray(scales.T)),
                name + ".g_idx": ("I32", (np.arange(inputs) // (inputs // scales.shape[1])).astype(np.int32))}
    return tensors


def compressed_config(bits, group, asymmetric):
    return dict(quant_method="compressed-tensors", format="pack-quantized", quantization_status="compressed", ignore=["lm_head"],
                kv_cache_scheme=None, config_groups=dict(group_0=dict(
                    targets=["Linear"], input_activations=None, output_activations=None,
                    weights=dict(num_bits=bits, type="int", symmetric=not asymmetric, strategy="group" if group else "channel",
                                 group_size=group, dynamic=False, actorder=None, observer="minmax", observer_kwargs={}))))


KINDS = {
    "ct-int4": (compressed, 4, 32, False, "F16", compressed_config(4, 32, False)),
    "ct-int4-asymmetric": (compressed, 4, 16, True, "BF16", compressed_config(4, 16, True)),
    "ct-int8-channel": (compressed, 8, None, False, "F32", compressed_config(8, None, False)),
    "awq-int4": (awq, 4, 32, True, "F16", dict(quant_method="awq", bits=4, group_size=32, zero_point=True, version="gemm")),
    "gptq-int4": (gptq(1), 4, 32, True, "F16", dict(
        quant_method="gptq", bits=4, group_size=32, desc_act=False, sym=False, damp_percent=0.01, true_sequential=True)),
    "gptq-v2-int4": (gptq(0), 4, -1, False, "F16", dict(
        quant_method="gptq", bits=4, group_size=-1, desc_act=False, sym=True, checkpoint_format="gptq_v2")),
}


def raw(kind, x):
    if kind == "BF16":
        return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return x.astype({"F16": np.float16, "F32": np.float32, "I32": np.int32, "I64": np.int64}[kind]).tobytes()


def save(path, tensors):
    header, blobs, at = {}, [], 0
    for name, (kind, x) in sorted(tensors.items(), key=lambda t: (-int(t[1][0][-2:]), t[0])):
        blobs.append(raw(kind, x))
        header[name] = dict(dtype=kind, shape=list(x.shape), data_offsets=[at, at + len(blobs[-1])])
        at += len(blobs[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def main(target):
    for kind, (packing, bits, group, asymmetric, scale_type, quantization) in KINDS.items():
        rng = np.random.default_rng(5)
        w = fam.weights(F, rng)
        tensors = {}
        for name, x in w.items():
            if "_proj" in name:
                out, inp = x.shape
                size = group if group and group > 0 else inp
                codes, zeros, scales, w[name] = draw(rng, out, inp, bits, size, asymmetric, scale_type)
                tensors |= packing(name[:-len(".weight")], codes, zeros, scales, bits, asymmetric, scale_type)
            else:
                tensors[name] = ("F16", x)
        directory = os.path.join(target, kind)
        os.makedirs(directory, exist_ok=True)
        save(os.path.join(directory, "model.safetensors"), tensors)
        config = dict(model_type="llama", hidden_size=fam.HIDDEN, intermediate_size=fam.FFN, num_hidden_layers=fam.LAYERS,
                      num_attention_heads=F["heads"], num_key_value_heads=F["kv"], head_dim=F["dim"], vocab_size=fam.VOCAB,
                      rms_norm_eps=fam.EPS, max_position_embeddings=512, hidden_act="silu", tie_word_embeddings=False,
                      rope_theta=F["theta"], torch_dtype="float16", quantization_config=quantization)
        json.dump(config, open(os.path.join(directory, "config.json"), "w"), indent=1)
        reference, prompts = fam.Reference(F, w), []
        everything = [[1] * F["kv"] for _ in range(fam.LAYERS)]
        for tokens in (1, 33):
            ids = [int(x) for x in rng.integers(3, fam.VOCAB, tokens)]
            row, chosen = fam.greedy(reference, F, ids, 3, lambda n: fam.visibility(F, n, everything, 0, 1, 1, tokens, False))
            prompts.append(dict(ids=ids, logits_last=row, greedy=chosen))
        json.dump(dict(prompts=prompts, duo=[]), open(os.path.join(directory, "expected.json"), "w"))


if __name__ == "__main__":
    main(sys.argv[1])

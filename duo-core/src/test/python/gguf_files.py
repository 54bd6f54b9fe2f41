"""Writes the small checkpoints of families.py as GGUF with the reference library (PyPI: gguf), for tests of the reader.

    python3 gguf_files.py ../resources/checkpoints ../resources/gguf

Matrices keep their type, vectors become F32, and the rows of q and k of the architecture llama are interleaved, as
convert_hf_to_gguf.py of llama.cpp does it. One model is split into parts of ten tensors.
"""
import json, os, struct, sys
import gguf
import numpy as np

TYPES = {"F32": gguf.GGMLQuantizationType.F32, "F16": gguf.GGMLQuantizationType.F16, "BF16": gguf.GGMLQuantizationType.BF16}
LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
OUTER = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}


def read(directory):
    """Raw 16-bit words by name, with the type of each."""
    with open(os.path.join(directory, "model.safetensors"), "rb") as f:
        raw = f.read()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + x for x in entry["data_offsets"])
            tensors[name] = np.frombuffer(raw[begin:end], np.uint16).reshape(entry["shape"]), entry["dtype"]
    return tensors


def to_float(words, dtype):
    return words.view(np.float16).astype(np.float32) if dtype == "F16" else (words.astype(np.uint32) << 16).view(np.float32)


def rename(name):
    if name in OUTER:
        return OUTER[name]
    _, _, layer, rest = name.split(".", 3)
    module, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{LAYER[module]}.{kind}"


def interleave(x, heads):
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def write(source, target, **split):
    config = json.load(open(os.path.join(source, "config.json")))
    arch = {"mistral": "llama"}.get(config["model_type"], config["model_type"])
    writer = gguf.GGUFWriter(target, arch, **split)
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    dim = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_key_length(dim)
    writer.add_value_length(dim)
    writer.add_rope_dimension_count(dim)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config.get("rope_theta") or config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    for name, (words, dtype) in sorted(read(source).items()):
        if arch == "llama" and (".q_proj." in name or ".k_proj." in name):
            words = interleave(words, heads if ".q_proj." in name else kv)
        if words.ndim == 1:
            writer.add_tensor(rename(name), np.ascontiguousarray(to_float(words, dtype)))
        elif dtype == "F16":
            writer.add_tensor(rename(name), np.ascontiguousarray(words).view(np.float16))
        else:
            raw = np.ascontiguousarray(words).view(np.uint8)
            writer.add_tensor(rename(name), raw, raw_shape=raw.shape, raw_dtype=TYPES[dtype])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    source, target = sys.argv[1:]
    os.makedirs(target, exist_ok=True)
    write(os.path.join(source, "llama-bias"), os.path.join(target, "llama-bias.gguf"))
    write(os.path.join(source, "qwen3"), os.path.join(target, "qwen3.gguf"))
    write(os.path.join(source, "mistral"), os.path.join(target, "mistral.gguf"), split_max_tensors=10)

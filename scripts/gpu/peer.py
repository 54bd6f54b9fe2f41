#!/usr/bin/env python3
"""Measures PyTorch at the shapes at which duo is measured: peer.py RESULTS.json

Prints a line per figure, name, value and unit separated by tabs. What is not installed or not supported is left out with a line
on standard error.
"""

import json
import statistics
import sys

import torch
import torch.nn.functional as F

HEADS, KV_HEADS, HEAD_DIM, HIDDEN, INTERMEDIATE = 32, 8, 128, 4096, 14336
figures = []


def figure(name, value, unit):
    figures.append({"name": "peer " + name, "value": value, "unit": unit})
    print(f"peer {name}\t{value:.4f}\t{unit}", flush=True)
    # At once: there may be no time for all.
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w") as out:
            json.dump({"torch": torch.__version__, "figures": figures}, out, indent=1)


def seconds(work, repeats=9):
    """The median over some runs, by events of the device."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e-3)
    return statistics.median(times)


def attempt(name, work):
    try:
        work()
    except Exception as e:  # one that fails must not take the others with it
        print(f"peer {name}: left out, {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}", file=sys.stderr)
        torch.cuda.empty_cache()


def copy():
    source = torch.empty(1 << 32, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    figure("copy, bytes read and written", 2 * source.numel() / seconds(lambda: target.copy_(source)) / 1e9, "GB/s")


def tensors(queries, tokens):
    make = lambda heads, n: torch.randn(1, heads, n, HEAD_DIM, device="cuda", dtype=torch.bfloat16)
    return make(HEADS, queries), make(KV_HEADS, tokens), make(KV_HEADS, tokens)


def sdpa(q, k, v, **options):
    try:
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True, **options)
    except TypeError:  # before PyTorch 2.5
        repeated = (x.repeat_interleave(HEADS // KV_HEADS, dim=1) for x in (k, v))
        return F.scaled_dot_product_attention(q, *repeated, **options)


def attention():
    from torch.nn.attention import SDPBackend, sdpa_kernel

    backends = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION}
    for tokens in (8192, 32768):
        q, k, v = tensors(tokens, tokens)
        best = None
        for name, backend in backends.items():

            def run():
                nonlocal best
                with sdpa_kernel(backend):
                    ms = 1e3 * seconds(lambda: sdpa(q, k, v, is_causal=True))
                figure(f"sdpa {name} causal {tokens}", ms, "ms")
                best = ms if best is None else min(best, ms)

            attempt(f"sdpa {name} causal {tokens}", run)
        if best is not None:
            figure(f"sdpa best causal {tokens}", best, "ms")
    for tokens in (131072, 1048576):

        def decode():
            q, k, v = tensors(1, tokens)
            time = seconds(lambda: sdpa(q, k, v))
            figure(f"sdpa one query at {tokens}", 2 * k.numel() * k.element_size() / time / 1e9, "GB/s")

        attempt(f"sdpa one query at {tokens}", decode)


def linear():
    weight = torch.randn(INTERMEDIATE, HIDDEN, device="cuda", dtype=torch.bfloat16)
    for tokens in (1, 512, 4096):
        x = torch.randn(tokens, HIDDEN, device="cuda", dtype=torch.bfloat16)
        figure(f"bf16 linear {HIDDEN} to {INTERMEDIATE}, {tokens} tokens", 1e6 * seconds(lambda: F.linear(x, weight)), "us")


def generate():
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=HIDDEN,
        intermediate_size=INTERMEDIATE,
        num_hidden_layers=32,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        vocab_size=128256,
        max_position_embeddings=1 << 20,
        rope_theta=500000.0,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            model = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    with torch.inference_mode():
        for tokens in (8192, 32768):
            ids = torch.randint(0, config.vocab_size, (1, tokens), device="cuda")

            def run(new):
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                model.generate(ids, max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0)
                end.record()
                end.synchronize()
                return start.elapsed_time(end) * 1e-3

            def measure():
                run(1)
                one, many = run(1), run(33)
                figure(f"transformers bf16 prefill of {tokens}", tokens / one, "tokens/s")
                figure(f"transformers bf16 decode at {tokens}", 32 / (many - one), "tokens/s")

            attempt(f"transformers at {tokens}", measure)


def main():
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}", file=sys.stderr)
    for name, work in (("copy", copy), ("sdpa", attention), ("linear", linear), ("transformers", generate)):
        attempt(name, work)
        torch.cuda.empty_cache()


main()

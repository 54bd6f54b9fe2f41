"""Writes blocks of random bytes of every quantised type that is read, and the values they stand for, computed by the
reference library (PyPI: gguf), for tests of the decoders.

    python3 gguf_blocks.py ../resources/gguf/blocks.gguf
"""
import sys
import gguf
import numpy as np

ROWS, COLUMNS = 3, 512
TYPES = ["Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
# Where the half-precision scales of a block lie, which must be finite; everything else may be any bytes.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}

rng = np.random.default_rng(20261121)
writer = gguf.GGUFWriter(sys.argv[1], "test")
for name in TYPES:
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (ROWS, COLUMNS // elements, size), dtype=np.uint8)
    for at in SCALES[name]:
        scales = rng.normal(0, 0.05, blocks.shape[:2]).astype(np.float16)
        blocks[:, :, at : at + 2] = scales[..., None].view(np.uint8)
    # A block that is all zero, as those of padding are.
    blocks[2, 0] = 0
    raw = blocks.reshape(ROWS, -1)
    writer.add_tensor(name, raw, raw_dtype=kind)
    writer.add_tensor(name + ".values", np.ascontiguousarray(gguf.dequantize(raw, kind).astype(np.float32)))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

"""Trains a small SentencePiece BPE vocabulary on the project's own pages, writes it as GGUF (PyPI: gguf), and what
SentencePiece itself makes of some texts, for tests of the tokenizer.

    python3 gguf_sentencepiece.py ../../../../docs ../resources/gguf
"""
import io, json, os, sys
import gguf
import sentencepiece

docs, target = sys.argv[1:]
lines = []
for name in sorted(os.listdir(docs)):
    if name.endswith(".md"):
        lines += [line.strip() for line in open(os.path.join(docs, name), encoding="utf-8") if line.strip()]
model = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=700, byte_fallback=True,
    character_coverage=0.999, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
    user_defined_symbols=["<|user|>"], num_threads=1)
sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())

types = []
for i in range(len(sp)):
    types.append(2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 4 if sp.id_to_piece(i) == "<|user|>" else 1)
writer = gguf.GGUFWriter(os.path.join(target, "sentencepiece.gguf"), "llama")
writer.add_tokenizer_model("llama")
writer.add_token_list([sp.id_to_piece(i) for i in range(len(sp))])
writer.add_token_scores([sp.get_score(i) for i in range(len(sp))])
writer.add_token_types(types)
writer.add_bos_token_id(sp.bos_id())
writer.add_eos_token_id(sp.eos_id())
writer.add_unk_token_id(sp.unk_id())
writer.add_add_bos_token(True)
writer.add_chat_template("{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}")
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

texts = lines[10:40] + [
    "", " ", "a", "  two  spaces ", "tab\tand\nnew\r\nline", "Zürich: ½ 漢字 🦊 naïve", "12345 67", "The cache of a streaming head.",
    "streamingstreaming", "   ", "\u2581already", "éééé",
]
with open(os.path.join(target, "sentencepiece.json"), "w", encoding="utf-8") as f:
    json.dump([{"text": t, "ids": sp.encode(t)} for t in texts], f, ensure_ascii=True, indent=0)

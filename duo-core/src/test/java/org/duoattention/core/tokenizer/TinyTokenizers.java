package org.duoattention.core.tokenizer;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Small tokenizer.json files of the kinds in use, written by hand so that their answers are known. */
final class TinyTokenizers {
    private TinyTokenizers() {}

    /** Byte-level vocabulary without merges: the id of each byte is the byte, and 256 is the special end token. */
    static HuggingFaceTokenizer bytes(Path directory) throws IOException {
        StringBuilder vocab = new StringBuilder();
        int next = 256;
        for (int b = 0; b < 256; b++) {
            boolean printable = b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE;
            vocab.append(b == 0 ? "" : ",").append(String.format("\"\\u%04x\":%d", printable ? b : next++, b));
        }
        return load(directory, """
                {"version":"1.0","added_tokens":[{"id":256,"content":"<end>","special":true,"normalized":false,
                "single_word":false,"lstrip":false,"rstrip":false}],
                "truncation":{"max_length":4,"strategy":"LongestFirst","stride":0,"direction":"Right"},
                "padding":{"strategy":{"Fixed":8},"direction":"Right","pad_to_multiple_of":null,"pad_id":256,
                "pad_type_id":0,"pad_token":"<end>"},
                "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false},
                "decoder":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false},
                "model":{"type":"BPE","vocab":{VOCAB},"merges":[]}}
                """.replace("VOCAB", vocab));
    }

    /** SentencePiece style with byte fallback, as in Llama 2: words begin with U+2581 and the first space is stripped. */
    static HuggingFaceTokenizer sentencePiece(Path directory) throws IOException {
        StringBuilder vocab = new StringBuilder("\"<unk>\":0,\"<s>\":1,\"</s>\":2");
        for (int b = 0; b < 256; b++) {
            vocab.append(String.format(",\"<0x%02X>\":%d", b, b + 3));
        }
        vocab.append(",\"\\u2581\":259,\"a\":260,\"b\":261,\"\\u2581a\":262,\"\\u00e9\":263,\"\\ufffd\":264");
        return load(directory, """
                {"version":"1.0","added_tokens":[
                {"id":0,"content":"<unk>","special":true,"normalized":false,"single_word":false,"lstrip":false,"rstrip":false},
                {"id":1,"content":"<s>","special":true,"normalized":false,"single_word":false,"lstrip":false,"rstrip":false},
                {"id":2,"content":"</s>","special":true,"normalized":false,"single_word":false,"lstrip":false,"rstrip":false}],
                "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"\\u2581"},
                {"type":"Replace","pattern":{"String":" "},"content":"\\u2581"}]},
                "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\\u2581"},"content":" "},
                {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
                "model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,
                "vocab":{VOCAB},"merges":[["\\u2581","a"]]}}
                """.replace("VOCAB", vocab));
    }

    private static HuggingFaceTokenizer load(Path directory, String json) throws IOException {
        Files.writeString(directory.resolve("tokenizer.json"), json);
        return HuggingFaceTokenizer.load(directory);
    }
}

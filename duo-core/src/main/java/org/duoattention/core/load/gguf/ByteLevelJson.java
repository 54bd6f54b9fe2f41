package org.duoattention.core.load.gguf;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The tokenizer.json of a byte-level BPE vocabulary, as of GPT-2, Llama 3 and Qwen: tokens are spelled in the alphabet that
 * gives every byte a printable character, and merges are pairs with a space between.
 *
 * @param vocabulary the tokens
 */
record ByteLevelJson(GgufVocabulary vocabulary) {
    private static final String PRE = "tokenizer.ggml.pre";
    private static final String MERGES = "tokenizer.ggml.merges";
    private static final int MAX_MERGES = 1 << 23;

    Map<String, @Nullable Object> json() {
        GgufMetadata metadata = vocabulary.metadata();
        String expected = "a supported pre-tokenizer: " + PreTokenizer.known();
        String name = metadata.string(PRE).orElseThrow(() -> metadata.missing(PRE, expected));
        PreTokenizer pre = PreTokenizer.of(name).orElseThrow(() -> metadata.problem(PRE, name, expected));
        Map<String, @Nullable Object> json = GgufTokenizer.frame(vocabulary, pre.addsBos());
        json.put("normalizer", pre.composes() ? Map.of("type", "NFC") : null);
        json.put("pre_tokenizer", Map.of("type", "Sequence", "pretokenizers", words(pre)));
        json.put("decoder", byteLevel());
        json.put("model", GgufTokenizer.bytePairs(vocabulary, merges(), null, false, pre.ignoresMerges()));
        return json;
    }

    private static List<Object> words(PreTokenizer pre) {
        List<Object> steps = new ArrayList<>();
        for (String expression : pre.expressions()) {
            steps.add(Map.of(
                    "type", "Split", "pattern", Map.of("Regex", expression), "behavior", "Isolated", "invert", false));
        }
        steps.add(byteLevel());
        return steps;
    }

    private static Map<String, Object> byteLevel() {
        return Map.of("type", "ByteLevel", "add_prefix_space", false, "trim_offsets", true, "use_regex", false);
    }

    private List<List<String>> merges() {
        List<List<String>> merges = new ArrayList<>();
        for (String merge : vocabulary.metadata().strings(MERGES, MAX_MERGES)) {
            int space = merge.indexOf(' ', 1);
            if (space < 1 || space == merge.length() - 1) {
                throw vocabulary
                        .metadata()
                        .problem(
                                MERGES,
                                "an array with the element \"" + merge + "\"",
                                "two tokens with a space between");
            }
            merges.add(List.of(merge.substring(0, space), merge.substring(space + 1)));
        }
        if (merges.isEmpty()) {
            throw vocabulary.metadata().missing(MERGES, "pairs of tokens");
        }
        return merges;
    }
}

package org.duoattention.core.load.gguf;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * The ids of the tokens that frame a text.
 *
 * @param bos id that starts a text, if any
 * @param end ids that end a text: end of sequence, of a turn, of a message
 */
record GgufSpecialIds(OptionalInt bos, List<Integer> end) {
    static final String BOS = "tokenizer.ggml.bos_token_id";
    static final String EOS = "tokenizer.ggml.eos_token_id";
    private static final List<String> END = List.of(EOS, "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id");

    /**
     * Reads the ids.
     *
     * @param vocabSize ids are below it
     */
    static GgufSpecialIds read(GgufMetadata metadata, int vocabSize) {
        List<Integer> end = new ArrayList<>();
        for (String key : END) {
            OptionalInt id = id(metadata, key, vocabSize);
            if (id.isPresent() && !end.contains(id.getAsInt())) {
                end.add(id.getAsInt());
            }
        }
        return new GgufSpecialIds(id(metadata, BOS, vocabSize), List.copyOf(end));
    }

    /** The id that a key names; empty when the key is absent or its value is -1, which some writers put for none. */
    static OptionalInt id(GgufMetadata metadata, String key, int vocabSize) {
        long none = 0xffff_ffffL;
        OptionalLong id = metadata.integer(key, -1, none);
        return id.isEmpty() || id.getAsLong() == -1 || id.getAsLong() == none
                ? OptionalInt.empty()
                : OptionalInt.of((int) metadata.integer(key, 0, vocabSize - 1).orElseThrow());
    }
}

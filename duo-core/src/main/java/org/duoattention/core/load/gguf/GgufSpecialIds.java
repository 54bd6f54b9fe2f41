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
            OptionalLong id = metadata.integer(key, 0, vocabSize - 1);
            if (id.isPresent() && !end.contains((int) id.getAsLong())) {
                end.add((int) id.getAsLong());
            }
        }
        OptionalLong bos = metadata.integer(BOS, 0, vocabSize - 1);
        return new GgufSpecialIds(
                bos.isPresent() ? OptionalInt.of((int) bos.getAsLong()) : OptionalInt.empty(), List.copyOf(end));
    }
}

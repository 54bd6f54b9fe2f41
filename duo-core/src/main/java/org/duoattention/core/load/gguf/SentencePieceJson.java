package org.duoattention.core.load.gguf;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;
import org.jspecify.annotations.Nullable;

/**
 * The tokenizer.json of a SentencePiece BPE vocabulary, as of Llama 2 and Mistral: words begin with U+2581, characters
 * without a token become bytes. SentencePiece merges the pair whose piece has the best score; a tokenizer.json lists the
 * merges in that order, so they are derived from the scores as {@code convert_slow_tokenizer.py} of Hugging Face
 * transformers does.
 *
 * @param vocabulary the tokens
 */
record SentencePieceJson(GgufVocabulary vocabulary) {
    private static final String SCORES = "tokenizer.ggml.scores";
    private static final String SPACE = "\u2581";
    /** Every piece is cut at every place; pieces of real vocabularies have some 30 characters at most. */
    private static final int MAX_PIECE_CHARS = 256;

    /** A way to put a piece together. */
    private record Merge(String left, String right, float score) {
        /** Better scores first; among equals the longer left part, then the longer right part. */
        static final Comparator<Merge> ORDER = Comparator.comparingDouble((Merge merge) -> -merge.score)
                .thenComparingInt(merge -> -codePoints(merge.left))
                .thenComparingInt(merge -> -codePoints(merge.right));

        private static int codePoints(String text) {
            return text.codePointCount(0, text.length());
        }
    }

    Map<String, @Nullable Object> json() {
        GgufMetadata metadata = vocabulary.metadata();
        boolean prefix = metadata.bool("tokenizer.ggml.add_space_prefix", true);
        Map<String, Object> replace = Map.of("type", "Replace", "pattern", Map.of("String", " "), "content", SPACE);
        Map<String, Object> restore = Map.of("type", "Replace", "pattern", Map.of("String", SPACE), "content", " ");
        List<Object> normalizers = new ArrayList<>();
        List<Object> decoders =
                new ArrayList<>(List.of(restore, Map.of("type", "ByteFallback"), Map.of("type", "Fuse")));
        if (prefix) {
            normalizers.add(Map.of("type", "Prepend", "prepend", SPACE));
            decoders.add(Map.of("type", "Strip", "content", " ", "start", 1, "stop", 0));
        }
        normalizers.add(replace);
        Map<String, @Nullable Object> json = GgufTokenizer.frame(vocabulary, true);
        json.put("normalizer", Map.of("type", "Sequence", "normalizers", normalizers));
        json.put("pre_tokenizer", null);
        json.put("decoder", Map.of("type", "Sequence", "decoders", decoders));
        json.put("model", GgufTokenizer.bytePairs(vocabulary, merges(), unknown(), true, false));
        return json;
    }

    private @Nullable String unknown() {
        OptionalInt id = vocabulary.id("tokenizer.ggml.unknown_token_id");
        if (id.isPresent()) {
            return vocabulary.token(id.getAsInt());
        }
        // Where SentencePiece puts it unless told otherwise.
        return vocabulary.isSpecial(0) ? vocabulary.token(0) : null;
    }

    private List<List<String>> merges() {
        GgufMetadata metadata = vocabulary.metadata();
        float[] scores = metadata.floats(SCORES, Integer.MAX_VALUE);
        if (scores.length != vocabulary.size()) {
            throw metadata.problem(
                    SCORES, "an array of " + scores.length, vocabulary.size() + " elements, one per token");
        }
        List<Merge> merges = new ArrayList<>();
        for (int id = 0; id < scores.length; id++) {
            if (vocabulary.isText(id)) {
                addSplits(vocabulary.token(id), scores[id], merges);
            }
        }
        merges.sort(Merge.ORDER);
        return merges.stream().map(merge -> List.of(merge.left, merge.right)).toList();
    }

    private void addSplits(String piece, float score, List<Merge> merges) {
        if (piece.length() > MAX_PIECE_CHARS) {
            throw new DuoException(vocabulary.file() + ": the token " + Quoted.of(piece) + " has " + piece.length()
                    + " characters, at most " + MAX_PIECE_CHARS + " are read; take another conversion of the model");
        }
        List<Merge> own = new ArrayList<>();
        for (int i = 1; i < piece.length(); i++) {
            if (!Character.isLowSurrogate(piece.charAt(i))
                    && vocabulary.find(piece.substring(0, i)).isPresent()
                    && vocabulary.find(piece.substring(i)).isPresent()) {
                own.add(new Merge(piece.substring(0, i), piece.substring(i), score));
            }
        }
        // The order among splits of one piece that are equal otherwise.
        own.sort(Comparator.comparingInt((Merge merge) -> id(merge.left)).thenComparingInt(merge -> id(merge.right)));
        merges.addAll(own);
    }

    private int id(String token) {
        return vocabulary.find(token).orElseThrow();
    }
}

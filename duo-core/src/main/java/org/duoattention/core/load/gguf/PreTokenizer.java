package org.duoattention.core.load.gguf;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * How a text is cut into words before byte pairs are merged: what the name in {@code tokenizer.ggml.pre} stands for. The
 * expressions are those of the tokenizer.json files that models of the kind are published with; names, and what a name says
 * of merges and of BOS, are those of src/llama-vocab.cpp in ggml-org/llama.cpp.
 */
enum PreTokenizer {
    LLAMA3(
            List.of("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"),
            List.of(Expressions.WORDS_AND_THREE_DIGITS),
            false,
            true,
            true),
    SMAUG(List.of("smaug-bpe", "dbrx"), List.of(Expressions.WORDS_AND_THREE_DIGITS), false, false, false),
    QWEN2(List.of("qwen2", "deepseek-r1-qwen", "megrez"), List.of(Expressions.WORDS_AND_ONE_DIGIT), true, false, false),
    GPT2(List.of("gpt-2"), List.of(Expressions.GPT2), false, false, false),
    SMOLLM(
            List.of("smollm", "starcoder", "refact", "command-r"),
            List.of("\\p{N}", Expressions.GPT2),
            false,
            false,
            false),
    TEKKEN(List.of("tekken"), List.of(Expressions.CASED_WORDS), false, true, true),
    /** What llama.cpp does where nothing else is said. */
    DEFAULT(
            List.of("default"),
            List.of("[\\p{P}\\$\\+<=>\\^~\\|]+", Expressions.GPT2, "\\p{N}+", "[0-9][0-9][0-9]"),
            false,
            false,
            false);

    /** Constants that the values above need. */
    private static final class Expressions {
        static final String GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
        static final String WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
        static final String REST = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
        static final String WORDS_AND_THREE_DIGITS = WORDS + "\\p{N}{1,3}" + REST;
        static final String WORDS_AND_ONE_DIGIT = WORDS + "\\p{N}" + REST;
        static final String UPPER = "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}";
        static final String LOWER = "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}";
        static final String CASED_WORDS = "[^\\r\\n\\p{L}\\p{N}]?[" + UPPER + "]*[" + LOWER + "]+"
                + "|[^\\r\\n\\p{L}\\p{N}]?[" + UPPER + "]+[" + LOWER + "]*"
                + "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

        private Expressions() {}
    }

    private final List<String> names;
    private final List<String> expressions;
    private final boolean composes;
    private final boolean ignoresMerges;
    private final boolean addsBos;

    PreTokenizer(
            List<String> names, List<String> expressions, boolean composes, boolean ignoresMerges, boolean addsBos) {
        this.names = names;
        this.expressions = expressions;
        this.composes = composes;
        this.ignoresMerges = ignoresMerges;
        this.addsBos = addsBos;
    }

    /** The one of a name. */
    static Optional<PreTokenizer> of(String name) {
        return Arrays.stream(values()).filter(pre -> pre.names.contains(name)).findFirst();
    }

    /** All names, for messages. */
    static String known() {
        return Arrays.stream(values()).flatMap(pre -> pre.names.stream()).collect(Collectors.joining(", "));
    }

    /** Regular expressions that cut one after the other; what matches is a word, and so is what lies between. */
    List<String> expressions() {
        return expressions;
    }

    /** Whether the text is brought to the normal form NFC first. */
    boolean composes() {
        return composes;
    }

    /** Whether a word that is a token is taken whole, without merging its bytes. */
    boolean ignoresMerges() {
        return ignoresMerges;
    }

    /** Whether a BOS is put in front where the file does not say. */
    boolean addsBos() {
        return addsBos;
    }
}

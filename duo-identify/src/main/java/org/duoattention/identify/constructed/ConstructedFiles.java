package org.duoattention.identify.constructed;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.duoattention.api.model.ModelShape;

/** The JSON files of the checkpoint as trees of maps and lists. */
final class ConstructedFiles {
    /** The pre-tokenizer of Llama 3. */
    private static final String PRETOKENS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
            + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    private final ConstructedVocabulary vocabulary;
    private final ModelShape shape;
    private final long context;

    ConstructedFiles(ConstructedVocabulary vocabulary, ModelShape shape, long context) {
        this.vocabulary = vocabulary;
        this.shape = shape;
        this.context = context;
    }

    Map<String, Object> config() {
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("architectures", List.of("LlamaForCausalLM"));
        config.put("model_type", "llama");
        config.put("hidden_size", shape.hiddenSize());
        config.put("intermediate_size", shape.intermediateSize());
        config.put("num_hidden_layers", shape.layers());
        config.put("num_attention_heads", shape.attentionHeads());
        config.put("num_key_value_heads", shape.kvHeads());
        config.put("head_dim", shape.headDim());
        config.put("vocab_size", shape.vocabSize());
        config.put("rms_norm_eps", 1e-5);
        config.put("rope_theta", RotaryKernel.THETA);
        config.put("max_position_embeddings", context);
        config.put("hidden_act", "silu");
        config.put("attention_bias", false);
        config.put("mlp_bias", false);
        config.put("tie_word_embeddings", false);
        config.put("bos_token_id", vocabulary.bos());
        config.put("eos_token_id", vocabulary.eos());
        config.put("torch_dtype", "bfloat16");
        config.put("use_cache", true);
        return config;
    }

    Map<String, Object> generationConfig() {
        return Map.of(
                "bos_token_id",
                vocabulary.bos(),
                "eos_token_id",
                vocabulary.eos(),
                "do_sample",
                false,
                "max_new_tokens",
                ConstructedModel.MAX_WORDS + 1);
    }

    Map<String, Object> tokenizerConfig() {
        return Map.of(
                "tokenizer_class",
                "PreTrainedTokenizerFast",
                "bos_token",
                ConstructedVocabulary.BOS,
                "eos_token",
                ConstructedVocabulary.EOS,
                "clean_up_tokenization_spaces",
                false,
                "model_max_length",
                context);
    }

    Map<String, Object> tokenizer() {
        Map<String, Object> bos = Map.of("SpecialToken", Map.of("id", ConstructedVocabulary.BOS, "type_id", 0));
        Map<String, Object> tokenizer = new LinkedHashMap<>();
        tokenizer.put("version", "1.0");
        tokenizer.put(
                "added_tokens",
                List.of(
                        added(vocabulary.marker(), ConstructedVocabulary.MARKER, false),
                        added(vocabulary.bos(), ConstructedVocabulary.BOS, true),
                        added(vocabulary.eos(), ConstructedVocabulary.EOS, true)));
        tokenizer.put(
                "pre_tokenizer",
                Map.of(
                        "type",
                        "Sequence",
                        "pretokenizers",
                        List.of(
                                Map.of(
                                        "type",
                                        "Split",
                                        "pattern",
                                        Map.of("Regex", PRETOKENS),
                                        "behavior",
                                        "Isolated",
                                        "invert",
                                        false),
                                byteLevel(false))));
        tokenizer.put(
                "post_processor",
                Map.of(
                        "type",
                        "TemplateProcessing",
                        "single",
                        List.of(bos, sequence("A", 0)),
                        "pair",
                        List.of(bos, sequence("A", 0), sequence("B", 1)),
                        "special_tokens",
                        Map.of(
                                ConstructedVocabulary.BOS,
                                Map.of(
                                        "id",
                                        ConstructedVocabulary.BOS,
                                        "ids",
                                        List.of(vocabulary.bos()),
                                        "tokens",
                                        List.of(ConstructedVocabulary.BOS)))));
        tokenizer.put("decoder", byteLevel(true));
        tokenizer.put("model", model());
        return tokenizer;
    }

    private Map<String, Object> model() {
        Map<String, Object> model = new LinkedHashMap<>();
        model.put("type", "BPE");
        model.put("fuse_unk", false);
        model.put("byte_fallback", false);
        model.put("ignore_merges", false);
        model.put("vocab", vocabulary.pieces());
        model.put("merges", vocabulary.merges());
        return model;
    }

    private static Map<String, Object> added(int id, String content, boolean special) {
        Map<String, Object> token = new LinkedHashMap<>();
        token.put("id", id);
        token.put("content", content);
        token.put("single_word", false);
        token.put("lstrip", false);
        token.put("rstrip", false);
        token.put("normalized", false);
        token.put("special", special);
        return token;
    }

    private static Map<String, Object> byteLevel(boolean decoder) {
        return Map.of("type", "ByteLevel", "add_prefix_space", false, "trim_offsets", true, "use_regex", decoder);
    }

    private static Map<String, Object> sequence(String id, int type) {
        return Map.of("Sequence", Map.of("id", id, "type_id", type));
    }
}

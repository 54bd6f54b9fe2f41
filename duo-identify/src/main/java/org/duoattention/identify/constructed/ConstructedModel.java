package org.duoattention.identify.constructed;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.NewDirectory;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.PatternDirectory;
import org.duoattention.quant.checkpoint.SafetensorsWriter;
import tools.jackson.databind.ObjectWriter;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * A small Llama whose weights are written down rather than trained, so that it is known exactly which KV heads are
 * retrieval heads, and that answers passkey questions at a million tokens and more.
 *
 * <h2>What it does</h2>
 *
 * <p>It reads any text with up to ten lines {@code The second passkey is: kilo tango ...} of up to eight words and,
 * asked {@code What is the second passkey? The passkey is:}, continues with the words and then the end of text. Words
 * may repeat. Where it finds nothing it says {@code unknown}. It has 3 layers of 4 heads of width 32 and no grouped
 * queries: 12 KV heads, of which 3 are retrieval heads. The others look at most {@value #QUESTION_REACH} tokens back or
 * at the BOS.
 *
 * <h2>How</h2>
 *
 * <p>The word to say next is determined by two things: which passkey is asked for, and how many words have been said.
 * Both are made visible at every token by heads that look a few tokens back, and a retrieval head then looks for the
 * one token in the whole text at which the ordinal is the same and the number of words is one more, and copies it.
 *
 * <ol>
 *   <li>Counting. The text {@code " passkey is:"} is one token, the marker. Two heads of layer 0 copy the marker
 *       feature from 1 and 2 tokens back, two heads of layer 1 copy the three features so known from 3 and 6 tokens
 *       back. After layer 1 each token knows whether the marker is 0, 1, ... 8 tokens back, which is the number k of
 *       passkey words up to it. A head that looks a fixed number of tokens back has constant keys and queries; see
 *       {@link RotaryKernel}.
 *   <li>Naming. A third head of layer 0 copies which ordinal is nearest. It is 2 to 9 tokens before the words of a
 *       passkey and 4 to {@value #QUESTION_REACH} before those of an answer.
 *   <li>Finding. A query with count k and ordinal n scores 60 for count k + 1, 60 for ordinal n and 60 for being a
 *       passkey word, in channels of pairs of dimensions that RoPE hardly turns. The BOS scores 136.
 * </ol>
 *
 * <p>The counts are shared out: a head of layer 1 finds words 1 and 2, for which the counts of layer 0 suffice; one
 * head of layer 2 finds words 3, 5 and 7, another words 4, 6 and 8. So each of the three is needed for any passkey of
 * four words or more, and they lie in two layers with 0, 1 and 2 retrieval heads.
 *
 * <h2>Why the gains are what they are</h2>
 *
 * <p>With N tokens the mass that leaks from the right word is at most {@code e^(136-180) + N e^(120-180)}: the BOS, and
 * tokens that agree in two of the three things. For N = 10^7 this is 2e-19. Where there is nothing to be found the BOS
 * must win: what agrees in two things takes at most {@code N e^(120-136) = 1e-7 N}, and such tokens are rare (each lies
 * within 11 tokens of the same ordinal, or k tokens after a marker); what agrees in the ordinal alone takes {@code N
 * e^(60-136)}. The margins of 44 and 16 also cover what is not exact: the change of a token's norm by its features
 * (under 2 %), ordinals of the haystack just before a line, which take up to an eighth of the mass of step 2 (8 of 60),
 * and rounding of keys to bfloat16 (about 0.2 of 60).
 *
 * <p>The counting heads' gap of 15.3 leaks less than 1e-6 over {@link RotaryKernel#MAX_DISTANCE} tokens, and 4e-4 to
 * the BOS, where their value is zero. Angles of 32-bit precision, as some engines compute them, are off by up to 0.03
 * radians in pair 0 at a million tokens, which changes a score by {@code 36 (1 - cos 0.06) = 0.07}.
 *
 * <p>A copied word enters the residual stream with twice the size of the constant, so that it makes up most of the
 * final hidden state: a lost retrieval head is plain to see for a loss on hidden states, and the logit of the right
 * word is ahead by 14.
 *
 * <h2>Decoys</h2>
 *
 * <p>Up to {@value #MAX_DECOYS} of the heads without a task may attend to all words of the passkey that is asked for
 * while it is answered, and so pay it more attention than the retrieval heads, of which each is needed for two words of
 * six. What they write is as small as before and nothing reads it. Attention says that they are retrieval heads; the
 * output says that they are not.
 *
 * <p>Instances are immutable and safe to share between threads.
 */
public final class ConstructedModel {
    /** Most words of a passkey that are found. */
    public static final int MAX_WORDS = 8;

    /** Most heads that can look at passkeys in vain. */
    public static final int MAX_DECOYS = 3;

    /** Sink tokens that its head pattern asks for; the BOS is enough. */
    public static final int SINK_SIZE = 16;

    /** Recent tokens that its head pattern asks for. */
    public static final int RECENT_SIZE = 64;

    /** The furthest that a head which is no retrieval head looks back, the BOS aside. */
    static final int QUESTION_REACH = 11;

    /** Name of the directory of the head pattern inside the checkpoint. */
    static final String PATTERN = "heads";

    private final Spec spec;
    private final ConstructedVocabulary vocabulary = new ConstructedVocabulary();
    private final CircuitWeights weights;

    /**
     * What may be chosen.
     *
     * @param context tokens that the checkpoint says it can read, 256 to 4,194,304; the weights do not depend on it
     * @param seed chooses the order of the heads in each layer and all weights that do not matter; equal specs give
     *     equal bytes
     * @param decoys heads that pay attention to passkeys and are not needed, 0 to {@value #MAX_DECOYS}
     */
    public record Spec(long context, long seed, int decoys) {
        private static final long SHORTEST = 256;

        /**
         * Checks context and decoys.
         *
         * @throws DuoException when one is out of range
         */
        public Spec {
            if (context < SHORTEST || context > RotaryKernel.MAX_DISTANCE) {
                throw new DuoException("the context of a constructed model is " + SHORTEST + " to "
                        + RotaryKernel.MAX_DISTANCE + " tokens, not " + context
                        + ": up to there its heads were proved to keep distances apart.");
            }
            if (decoys < 0 || decoys > MAX_DECOYS) {
                throw new DuoException("a constructed model has 0 to " + MAX_DECOYS + " decoy heads, not " + decoys);
            }
        }

        /** Without decoys. */
        public Spec(long context, long seed) {
            this(context, seed, 0);
        }
    }

    /** Computes the weights, about 1.4 MB. */
    public ConstructedModel(Spec spec) {
        this.spec = spec;
        this.weights = new CircuitWeights(vocabulary, spec.seed(), spec.decoys());
    }

    /** The heads that must see the whole text; all others may be streaming heads. */
    public HeadMask trueHeads() {
        return weights.mask();
    }

    /** The heads that pay attention to passkeys and are not needed. */
    public HeadMask decoys() {
        return weights.decoys();
    }

    /** The extents of the model. */
    public ModelShape shape() {
        return weights.shape();
    }

    /**
     * Writes the checkpoint in the layout of Hugging Face: {@code config.json}, {@code generation_config.json}, {@code
     * model.safetensors} (bfloat16), {@code tokenizer.json} and {@code tokenizer_config.json}; beside them {@code
     * heads/}, the true heads as a head pattern ({@code full_attention_heads.tsv} and {@code config.json}). The
     * directory appears when it is complete.
     *
     * @param directory a new or an empty directory
     * @throws DuoException when it has content or cannot be written
     */
    public void writeTo(Path directory) {
        NewDirectory.create(directory, this::writeFiles);
    }

    private void writeFiles(Path directory) throws IOException {
        ConstructedFiles files = new ConstructedFiles(vocabulary, shape(), spec.context());
        ObjectWriter json = JsonMapper.builder()
                .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS)
                .build()
                .writerWithDefaultPrettyPrinter();
        json.writeValue(directory.resolve("config.json"), files.config());
        json.writeValue(directory.resolve("generation_config.json"), files.generationConfig());
        json.writeValue(directory.resolve("tokenizer.json"), files.tokenizer());
        json.writeValue(directory.resolve("tokenizer_config.json"), files.tokenizerConfig());
        PatternDirectory.write(directory.resolve(PATTERN), pattern());
        writeWeights(directory.resolve("model.safetensors"));
    }

    private HeadPattern pattern() {
        HeadMask heads = trueHeads();
        double[][] scores = new double[heads.layers()][heads.kvHeads()];
        for (int layer = 0; layer < scores.length; layer++) {
            for (int head : heads.retrieval(layer).stream().toArray()) {
                scores[layer][head] = 1;
            }
        }
        return new HeadPattern(scores, SINK_SIZE, RECENT_SIZE, Map.of());
    }

    private void writeWeights(Path file) throws IOException {
        Map<String, TensorSpec> specs = new TreeMap<>();
        weights.tensors()
                .forEach((name, rows) -> specs.put(
                        name,
                        rows.length == 1
                                ? TensorSpec.of(DType.BF16, rows[0].length)
                                : TensorSpec.of(DType.BF16, rows.length, rows[0].length)));
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, specs, Map.of("format", "pt"))) {
            for (Map.Entry<String, float[][]> tensor : weights.tensors().entrySet()) {
                for (float[] row : tensor.getValue()) {
                    writer.append(tensor.getKey(), row);
                }
            }
            writer.finish();
        }
    }
}

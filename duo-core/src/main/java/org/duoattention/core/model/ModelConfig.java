package org.duoattention.core.model;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonFile;

/**
 * What config.json says of a model: everything that the one forward pass needs to know. Reading it touches no weights;
 * what is not supported is refused here, by name.
 *
 * @param file the config.json it was read from, for messages
 * @param family the architecture
 * @param shape extents
 * @param rmsNormEps added to the mean square in every RMSNorm
 * @param rope rotary position embedding
 * @param tieWordEmbeddings whether the embedding table is also the output projection
 * @param queryKeyValueBias whether {@code q_proj}, {@code k_proj} and {@code v_proj} have a bias
 * @param outputBias whether {@code o_proj} has a bias
 * @param mlpBias whether {@code gate_proj}, {@code up_proj} and {@code down_proj} have a bias
 * @param queryKeyNorm whether every query and key head passes an RMSNorm of width {@code headDim} ({@code q_norm}, {@code
 *     k_norm}) before RoPE
 * @param maxPositions positions that the model was made for ({@code max_position_embeddings})
 * @param slidingWindow tokens that a query of some layer may see, itself included, when the model has a sliding window;
 *     contexts up to that length are not affected by it
 * @param bosTokenId id that starts a text, if any
 * @param eosTokenIds ids that end a text; may be empty
 */
public record ModelConfig(
        Path file,
        ModelFamily family,
        ModelShape shape,
        double rmsNormEps,
        RopeConfig rope,
        boolean tieWordEmbeddings,
        boolean queryKeyValueBias,
        boolean outputBias,
        boolean mlpBias,
        boolean queryKeyNorm,
        int maxPositions,
        OptionalLong slidingWindow,
        OptionalInt bosTokenId,
        List<Integer> eosTokenIds) {
    /** The file's name in a checkpoint directory. */
    public static final String FILE_NAME = "config.json";

    /** Copies the ids. */
    public ModelConfig {
        eosTokenIds = List.copyOf(eosTokenIds);
    }

    /**
     * Reads config.json of a checkpoint directory.
     *
     * @throws DuoException when it is missing, malformed, or asks for something that is not supported
     */
    public static ModelConfig read(Path directory) {
        Path file = directory.resolve(FILE_NAME);
        if (!Files.exists(file)) {
            throw new DuoException(file + ": no such file; give the directory of a checkpoint, with config.json,"
                    + " safetensors and tokenizer.json, or a GGUF file");
        }
        return readFile(file);
    }

    /**
     * Reads a file with the content of config.json under any name.
     *
     * @throws DuoException as {@link #read}
     */
    public static ModelConfig readFile(Path file) {
        return new ModelConfigReader(file, JsonFile.read(file)).read();
    }

    /**
     * Refuses contexts in which the model's sliding window would be active, which is not supported. Call it before
     * weights are loaded, with the longest context of the session.
     *
     * @throws DuoException when {@code maxTokens} exceeds the sliding window
     */
    public void checkContext(long maxTokens) {
        if (slidingWindow.isPresent() && maxTokens > slidingWindow.getAsLong()) {
            throw new DuoException(file + ": the model has a sliding window of " + slidingWindow.getAsLong()
                    + " tokens, which is not supported once it is active; ask for a context of at most "
                    + slidingWindow.getAsLong() + " tokens instead of " + maxTokens);
        }
    }

    /** The longest context that the model was made for and that is supported. */
    public long contextLimit() {
        return Math.min(maxPositions, slidingWindow.orElse(maxPositions));
    }
}

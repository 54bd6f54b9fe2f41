package org.duoattention.core.model;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonFile;
import org.duoattention.core.json.JsonObject;

/**
 * What generation_config.json recommends: where generation ends, and the sampling that the model's authors chose. Values
 * that the file leaves out are empty.
 *
 * @param eosTokenIds ids that end generation; those of config.json when the file has none
 * @param sample whether sampling is recommended, false means greedy
 * @param temperature softmax temperature
 * @param topK most tokens to choose from; 0 for no limit
 * @param topP probability mass to choose from
 * @param minP least probability relative to the best token
 * @param repetitionPenalty divisor of the logits of tokens that occurred
 */
public record GenerationConfig(
        List<Integer> eosTokenIds,
        boolean sample,
        OptionalDouble temperature,
        OptionalInt topK,
        OptionalDouble topP,
        OptionalDouble minP,
        OptionalDouble repetitionPenalty) {
    /** The file's name in a checkpoint directory. */
    public static final String FILE_NAME = "generation_config.json";

    /** Copies the ids. */
    public GenerationConfig {
        eosTokenIds = List.copyOf(eosTokenIds);
    }

    /** Where generation ends, without any advice on sampling. */
    public static GenerationConfig endingAt(List<Integer> eosTokenIds) {
        return new GenerationConfig(
                eosTokenIds,
                false,
                OptionalDouble.empty(),
                OptionalInt.empty(),
                OptionalDouble.empty(),
                OptionalDouble.empty(),
                OptionalDouble.empty());
    }

    /**
     * Reads generation_config.json of a checkpoint directory; a file that is absent recommends nothing.
     *
     * @throws DuoException when the file is malformed
     */
    public static GenerationConfig read(Path directory, ModelConfig config) {
        Path file = directory.resolve(FILE_NAME);
        if (!Files.exists(file)) {
            return endingAt(config.eosTokenIds());
        }
        JsonObject json = JsonFile.read(file);
        List<Integer> eos = json.integers("eos_token_id", 0, Integer.MAX_VALUE);
        OptionalLong topK = json.integer("top_k", 0, Integer.MAX_VALUE);
        return new GenerationConfig(
                eos.isEmpty() ? config.eosTokenIds() : eos,
                json.bool("do_sample", false),
                json.number("temperature", 0, 1e6),
                topK.isPresent() ? OptionalInt.of((int) topK.getAsLong()) : OptionalInt.empty(),
                json.number("top_p", 0, 1),
                json.number("min_p", 0, 1),
                json.number("repetition_penalty", 1e-6, 1e6));
    }
}

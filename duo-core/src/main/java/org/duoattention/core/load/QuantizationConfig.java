package org.duoattention.core.load;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonFile;
import org.duoattention.core.json.JsonObject;

/** What {@code quantization_config} in config.json says of how matrices are packed, if it says anything. */
public final class QuantizationConfig {
    private static final String KEY = "quantization_config";
    private static final String METHOD = "quant_method";
    private static final String SUPPORTED = "compressed-tensors (pack-quantized), awq and gptq";

    private QuantizationConfig() {}

    /**
     * Refuses by name what is not supported.
     *
     * @param config the whole config.json
     * @throws DuoException when the method is unknown, or one of its settings is
     */
    public static void check(JsonObject config) {
        packing(config);
    }

    /** The packing of the checkpoint in a directory; empty when its matrices are dense or it has no config.json. */
    static Optional<Packing> read(Path directory) {
        Path file = directory.resolve("config.json");
        return Files.exists(file) ? packing(JsonFile.read(file)) : Optional.empty();
    }

    private static Optional<Packing> packing(JsonObject config) {
        return config.object(KEY).map(quantization -> {
            String method = quantization
                    .string(METHOD)
                    .orElseThrow(() -> new DuoException(config.file()
                            + ": the weights are quantised (of an unnamed kind);" + " supported are " + SUPPORTED));
            return switch (method) {
                case "compressed-tensors" -> CompressedTensors.read(quantization);
                case "awq" -> AwqWeights.read(quantization);
                case "gptq" -> GptqWeights.read(quantization);
                default ->
                    throw quantization.problem(
                            METHOD, "a supported quantisation: " + SUPPORTED + "; use another checkpoint of the model");
            };
        });
    }
}

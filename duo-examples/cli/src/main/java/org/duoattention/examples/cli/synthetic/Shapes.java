package org.duoattention.examples.cli.synthetic;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelFamily;
import org.duoattention.core.model.RopeConfig;
import org.duoattention.core.model.RopeScaling;

/** Configurations without checkpoints: the published shapes of some models, or a file like config.json. */
public final class Shapes {
    private static final int LLAMA_3_VOCABULARY = 128_256;
    private static final double LLAMA_3_THETA = 500_000;

    private static final Map<String, ModelConfig> KNOWN = new TreeMap<>(Map.of(
            "llama-3.2-1b",
            llama(
                    "llama-3.2-1b",
                    new ModelShape(16, 2048, 32, 8, 64, 8192, LLAMA_3_VOCABULARY),
                    new RopeConfig(LLAMA_3_THETA, new RopeScaling.Llama3(32, 1, 4, 8192)),
                    true,
                    131_072),
            "llama-3-8b",
            llama(
                    "llama-3-8b",
                    new ModelShape(32, 4096, 32, 8, 128, 14_336, LLAMA_3_VOCABULARY),
                    new RopeConfig(LLAMA_3_THETA, new RopeScaling.None()),
                    false,
                    8192),
            "llama-2-7b",
            llama(
                    "llama-2-7b",
                    new ModelShape(32, 4096, 32, 32, 128, 11_008, 32_000),
                    new RopeConfig(10_000, new RopeScaling.None()),
                    false,
                    4096)));

    private Shapes() {}

    private static ModelConfig llama(String name, ModelShape shape, RopeConfig rope, boolean tied, int positions) {
        return new ModelConfig(
                Path.of(name),
                ModelFamily.LLAMA,
                shape,
                1e-5,
                rope,
                tied,
                false,
                false,
                false,
                false,
                positions,
                OptionalLong.empty(),
                OptionalInt.empty(),
                List.of());
    }

    /**
     * The configuration of a known shape or in a file.
     *
     * @param name one of the known names, or the path of a file like config.json
     * @throws DuoException when it is neither, or the file's values are missing, absurd or not supported
     */
    public static ModelConfig of(String name) {
        ModelConfig known = KNOWN.get(name);
        if (known != null) {
            return known;
        }
        Path file = Path.of(name);
        if (!Files.exists(file)) {
            throw new DuoException("--shape " + name + " is neither a file nor one of "
                    + String.join(", ", KNOWN.keySet()) + "; give one of these, or a file like config.json");
        }
        if (Files.isDirectory(file)) {
            throw new DuoException("--shape " + name + " is a directory; give the config.json in it");
        }
        return ModelConfig.readFile(file);
    }

    /** A short name for messages and results: the known name, or the file's. */
    public static String name(ModelConfig config) {
        Path file = config.file().getFileName();
        return file == null ? config.file().toString() : file.toString();
    }
}

package org.duoattention.core.load.gguf;

import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.duoattention.core.DuoException;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.GenerationConfig;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.source.ModelSource;
import org.duoattention.core.template.ChatTemplate;
import org.duoattention.core.tokenizer.Tokenizer;
import org.jspecify.annotations.Nullable;

/**
 * A model in GGUF format, in one file or split over several. The files are mapped when it is opened; everything they say is
 * checked before it is believed.
 */
public final class GgufModel implements ModelSource {
    private final Path path;
    private final GgufContent content;
    private final Arena arena;
    private @Nullable ModelConfig config;
    private @Nullable WeightSource weights;

    private GgufModel(Path path, GgufContent content, Arena arena) {
        this.path = path;
        this.content = content;
        this.arena = arena;
    }

    /** Whether a path names a model in this format: a file, or a directory with such a file and no config.json. */
    public static boolean isAt(Path path) {
        if (Files.isDirectory(path)) {
            return !Files.exists(path.resolve(ModelConfig.FILE_NAME))
                    && GgufParts.ofDirectory(path).isPresent();
        }
        return Files.isRegularFile(path) || String.valueOf(path.getFileName()).endsWith(".gguf");
    }

    /**
     * Maps the files of a model.
     *
     * @param path a file, any part of a split, or a directory that holds one model
     * @throws DuoException when files are missing, truncated or malformed; nothing stays mapped then
     */
    public static GgufModel open(Path path) {
        GgufParts parts = Files.isDirectory(path)
                ? GgufParts.ofDirectory(path)
                        .orElseThrow(() -> new DuoException(path + ": holds no .gguf file; name the file"))
                : GgufParts.ofFile(path);
        Arena arena = Arena.ofShared();
        try {
            return new GgufModel(path, GgufContent.map(parts, arena), arena);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    @Override
    public Path path() {
        return path;
    }

    @Override
    public Path directory() {
        Path parent = content.file().toAbsolutePath().getParent();
        return parent == null ? path : parent;
    }

    @Override
    public String name() {
        return content.name();
    }

    @Override
    public ModelConfig config() {
        if (config == null) {
            config = GgufConfig.read(content);
        }
        return config;
    }

    /** The ids that end a text by the metadata, and those of tokens that do by their name; nothing on sampling. */
    @Override
    public GenerationConfig generationConfig() {
        List<Integer> end = new ArrayList<>(config().eosTokenIds());
        if (GgufTokenizer.isPresent(content.metadata())) {
            GgufVocabulary.read(content.metadata()).endIds().stream()
                    .filter(id -> !end.contains(id))
                    .forEach(end::add);
        }
        return GenerationConfig.endingAt(end);
    }

    @Override
    public WeightSource weights() {
        if (weights == null) {
            weights = new GgufTensors(content, config(), arena);
        }
        return weights;
    }

    @Override
    public Optional<Tokenizer> tokenizer() {
        return GgufTokenizer.load(content.metadata());
    }

    @Override
    public Optional<ChatTemplate> chatTemplate() {
        return GgufTemplates.load(content.metadata());
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}

package org.duoattention.core.source;

import java.nio.file.Path;
import java.util.Optional;
import org.duoattention.core.load.Checkpoint;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.GenerationConfig;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.template.ChatTemplate;
import org.duoattention.core.tokenizer.HuggingFaceTokenizer;
import org.duoattention.core.tokenizer.Tokenizer;
import org.jspecify.annotations.Nullable;

/** A checkpoint directory in Hugging Face layout: config.json, safetensors, tokenizer.json and their companions. */
public final class HuggingFaceDirectory implements ModelSource {
    private final Path directory;
    private @Nullable ModelConfig config;
    private @Nullable Checkpoint checkpoint;

    /** The source for a directory; nothing is read yet. */
    public HuggingFaceDirectory(Path directory) {
        this.directory = directory;
    }

    @Override
    public Path path() {
        return directory;
    }

    @Override
    public Path directory() {
        return directory;
    }

    @Override
    public String name() {
        Path name = directory.toAbsolutePath().normalize().getFileName();
        return name == null ? directory.toString() : name.toString();
    }

    @Override
    public ModelConfig config() {
        if (config == null) {
            config = ModelConfig.read(directory);
        }
        return config;
    }

    @Override
    public GenerationConfig generationConfig() {
        return GenerationConfig.read(directory, config());
    }

    @Override
    public WeightSource weights() {
        if (checkpoint == null) {
            checkpoint = Checkpoint.open(directory);
        }
        return checkpoint;
    }

    @Override
    public Optional<Tokenizer> tokenizer() {
        return HuggingFaceTokenizer.isPresent(directory)
                ? Optional.of(HuggingFaceTokenizer.load(directory))
                : Optional.empty();
    }

    @Override
    public Optional<ChatTemplate> chatTemplate() {
        return ChatTemplate.isPresent(directory) ? Optional.of(ChatTemplate.load(directory)) : Optional.empty();
    }

    @Override
    public Tokenizer requireTokenizer() {
        return HuggingFaceTokenizer.load(directory);
    }

    @Override
    public ChatTemplate requireChatTemplate() {
        return ChatTemplate.load(directory);
    }

    @Override
    public void close() {
        if (checkpoint != null) {
            checkpoint.close();
        }
    }
}

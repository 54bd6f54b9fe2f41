package org.duoattention.core.source;

import java.nio.file.Path;
import java.util.Optional;
import org.duoattention.core.DuoException;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.GenerationConfig;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.template.ChatTemplate;
import org.duoattention.core.tokenizer.Tokenizer;

/**
 * The files of one model, in the layout of one ecosystem. Each part is read when it is asked for, so that a chat template
 * costs no weights; a part that is malformed or not supported is a {@link DuoException} then.
 *
 * <p>For use by one thread. The weights are valid until {@link #close}; everything else may outlive it.
 */
public interface ModelSource extends AutoCloseable {
    /** The path that the user named: a directory or a file. */
    Path path();

    /** The directory that the files lie in. */
    Path directory();

    /** The model's name, from the path. */
    String name();

    /**
     * What the forward pass needs to know.
     *
     * @throws DuoException when it is malformed, or asks for something that is not supported
     */
    ModelConfig config();

    /** Where generation ends, and the sampling that the model's authors chose. */
    GenerationConfig generationConfig();

    /**
     * The weights under the names of Hugging Face checkpoints, owned by this source.
     *
     * @throws DuoException when files are missing, truncated or malformed
     */
    WeightSource weights();

    /** The tokenizer, if there is one; the caller closes it. */
    Optional<Tokenizer> tokenizer();

    /** The chat template, if there is one. */
    Optional<ChatTemplate> chatTemplate();

    /**
     * The tokenizer that must be there; the caller closes it.
     *
     * @throws DuoException when there is none
     */
    default Tokenizer requireTokenizer() {
        return tokenizer()
                .orElseThrow(
                        () -> new DuoException(path() + " has no tokenizer; add the model's tokenizer.json, or give"
                                + " token ids with --ids, which needs none."));
    }

    /**
     * The chat template that must be there.
     *
     * @throws DuoException when there is none
     */
    default ChatTemplate requireChatTemplate() {
        return chatTemplate()
                .orElseThrow(
                        () -> new DuoException(path() + " has no chat template; use --prompt with the finished text,"
                                + " or an instruction-tuned checkpoint."));
    }

    /** Unmaps the weights. */
    @Override
    void close();
}

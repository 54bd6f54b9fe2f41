package org.duoattention.core.session;

import java.nio.file.Path;
import org.duoattention.core.DuoException;
import org.duoattention.core.load.gguf.GgufModel;
import org.duoattention.core.source.HuggingFaceDirectory;
import org.duoattention.core.source.ModelSource;

/** Tells by a path which layout a model's files have. */
public final class ModelSources {
    private ModelSources() {}

    /**
     * The source of the model at a path: a checkpoint directory in Hugging Face layout, a GGUF file (any part of a split
     * one), or a directory that holds one model in GGUF format. The caller closes it.
     *
     * @throws DuoException when a GGUF file is missing or malformed; what is wrong with a directory shows when it is read
     */
    public static ModelSource at(Path path) {
        return GgufModel.isAt(path) ? GgufModel.open(path) : new HuggingFaceDirectory(path);
    }
}

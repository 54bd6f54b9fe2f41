package org.duoattention.core.load;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * The tensors of a checkpoint as they are stored, of whatever type.
 *
 * @param directory where they lie, for messages
 * @param byName every tensor by its name
 */
record StoredTensors(Path directory, Map<String, StoredTensor> byName) {
    boolean has(String name) {
        return byName.containsKey(name);
    }

    Optional<StoredTensor> find(String name) {
        return Optional.ofNullable(byName.get(name));
    }

    /**
     * A part of a packed matrix.
     *
     * @param reason why it must be so, as the end of a sentence
     * @param types element types that it may have, separated by spaces
     * @throws DuoException when it is missing, of another type or of another shape
     */
    StoredTensor require(String name, String reason, String types, long... shape) {
        StoredTensor tensor = byName.get(name);
        if (tensor == null) {
            throw new DuoException(
                    directory + ": the weights lack tensor " + Quoted.of(name) + " of shape " + Arrays.toString(shape)
                            + " (" + reason + "); the checkpoint is incomplete or of another model than config.json");
        }
        String type = tensor.header().type();
        if (!Arrays.asList(types.split(" ", -1)).contains(type)) {
            throw problem(
                    name, tensor, "is " + type + ", expected " + types.replace(" ", " or ") + " (" + reason + ")");
        }
        if (!Arrays.equals(tensor.header().shape(), shape)) {
            throw problem(
                    name,
                    tensor,
                    "has shape " + Arrays.toString(tensor.header().shape()) + ", expected " + Arrays.toString(shape)
                            + " (" + reason + ")");
        }
        return tensor;
    }

    /** A refusal that names file and tensor. */
    static DuoException problem(String name, StoredTensor tensor, String fault) {
        return new DuoException(tensor.file() + ": tensor " + Quoted.of(name) + " " + fault);
    }
}

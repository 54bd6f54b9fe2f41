package org.duoattention.core.load;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.HostWeight;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;

/**
 * The weights of a model by name, wherever they come from. Tensors are views: they are valid until the source's owner
 * closes it. May be used from any thread.
 */
public interface WeightSource {
    /**
     * A tensor, if there is one of that name.
     *
     * @throws DuoException when its element type is not F32, F16 or BF16
     */
    Optional<HostTensor> find(String name);

    /**
     * A tensor that must be there in the given shape.
     *
     * @throws DuoException when it is missing, has another shape, or is not F32, F16 or BF16
     */
    HostTensor get(String name, long... shape);

    /**
     * A matrix that must be there in the given extents, the weight of a linear layer or an embedding, dense or quantised.
     * A dense one is valid as long as the source, like every tensor. A quantised one may have been decoded for this call:
     * it is valid until {@code arena} is closed.
     *
     * @param arena what decoded numbers are allocated in; any thread may read it
     * @throws DuoException as {@link #get} does
     */
    default HostWeight matrix(String name, long rows, long columns, Arena arena) {
        return get(name, rows, columns);
    }

    /** A tensor's bytes as they are stored, of whatever type, if there is one of that name; read-only use. */
    default Optional<MemorySegment> bytes(String name) {
        return find(name).map(HostTensor::data);
    }

    /** Whether any matrix is quantised. */
    default boolean isQuantized() {
        return false;
    }

    /** The names of all tensors, sorted. */
    Set<String> names();

    /** Which of F32, F16 and BF16 occur among the tensors. */
    Set<DType> dtypes();

    /** Bytes of the tensors by the type that they are stored in, in lower case as options name it; read from headers. */
    default Map<String, Long> bytesByType() {
        Map<String, Long> bytes = new TreeMap<>();
        for (String name : names()) {
            TensorSpec spec = find(name).orElseThrow().spec();
            bytes.merge(spec.dtype().name().toLowerCase(Locale.ROOT), spec.byteSize(), Long::sum);
        }
        return bytes;
    }

    /** Bytes of all tensors together, without headers. */
    long totalBytes();
}

package org.duoattention.api.backend;

import java.util.List;
import java.util.Set;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;

/**
 * The memory of a backend and the source of its streams.
 *
 * <p>May be used from any thread; allocation is thread-safe. After {@link #close}, every call on the device, its
 * tensors, slabs and streams throws {@link IllegalStateException}, but {@code close} and what the host knows anyway (ids,
 * specs and the counters of slabs).
 */
public interface Device extends AutoCloseable {
    /** The id of the backend that opened this device. */
    String backendId();

    /** One line for people: the hardware and the path taken, for example {@code AVX-512, 2 threads}. */
    String description();

    /** What the device can do beyond the operations that every backend has. */
    Set<Capability> capabilities();

    /**
     * Makes a host tensor usable as a weight: without a copy where the device can read host memory, by uploading it
     * otherwise. The host memory must stay alive and unchanged until the returned tensor is closed. Adopted tensors are
     * read-only.
     *
     * @param tensor F32, F16 or BF16; any alignment
     * @throws IllegalArgumentException when the element type is not supported
     * @throws DeviceMemoryException when an upload does not fit
     */
    Tensor adopt(HostTensor tensor);

    /**
     * Takes a quantised weight into device memory, in an order of the backend's own. The host memory is read before the
     * call returns and is not needed afterwards. The tensor is read-only, may be the table of {@link ComputeStream#embed}
     * and the weight of {@link ComputeStream#linear}, and nothing else.
     *
     * @throws UnsupportedCapabilityException without {@link Capability#QUANTIZED_WEIGHTS}
     * @throws IllegalArgumentException when a scale or an offset is not finite
     * @throws DeviceMemoryException when it does not fit; nothing is allocated then
     */
    default Tensor adopt(QuantizedMatrix matrix) {
        throw new UnsupportedCapabilityException(backendId(), Capability.QUANTIZED_WEIGHTS);
    }

    /**
     * Allocates a tensor of zeros.
     *
     * @throws DeviceMemoryException when it does not fit; nothing is allocated then
     */
    Tensor allocate(TensorSpec spec);

    /**
     * Allocates an empty slab.
     *
     * @throws IllegalArgumentException when the format is not supported
     * @throws UnsupportedCapabilityException when the retention asks for scores and the device has no {@link
     *     Capability#SCORES}, or the format is quantised and it has no {@link Capability#QUANTIZED_CACHE}
     * @throws DeviceMemoryException when it does not fit; nothing is allocated then
     */
    Slab allocate(SlabSpec spec);

    /**
     * Makes sure that tokens can be appended to slabs without taking memory, to all of them or to none. A device that takes a
     * slab's memory as the slab fills does here what {@link ComputeStream#append} would do, for a caller who wants to hear of
     * a refusal before anything has changed; where slabs have their memory from the beginning, nothing happens.
     *
     * <p>May be called from any thread while nobody else uses the slabs; work that is queued may go on.
     *
     * @param slabs slabs of this device
     * @param tokens how many tokens are appended to each; not negative. Those beyond what a slab may hold do not count
     * @throws DeviceMemoryException when other programs have taken the memory that the slabs were allocated for; nothing has
     *     changed then
     */
    default void reserve(List<Slab> slabs, long tokens) {}

    /** Exactly the bytes that {@link #allocate(SlabSpec)} would take. */
    long bytes(SlabSpec spec);

    /** Exactly the bytes that {@link #allocate(TensorSpec)} would take. */
    long bytes(TensorSpec spec);

    /**
     * Exactly the bytes that {@link #adopt(QuantizedMatrix)} would take.
     *
     * @throws UnsupportedCapabilityException without {@link Capability#QUANTIZED_WEIGHTS}
     */
    default long bytes(QuantizedSpec spec) {
        throw new UnsupportedCapabilityException(backendId(), Capability.QUANTIZED_WEIGHTS);
    }

    /**
     * Bytes of device memory that tensors and slabs have, adopted host memory apart. All that a slab was allocated for counts,
     * also when the device takes it only as the slab fills: nobody else on this device is given it.
     */
    long allocatedBytes();

    /** Bytes that can still be allocated, as far as is known. */
    long availableBytes();

    /** Opens a stream that belongs to the calling thread. The caller closes it. */
    ComputeStream openStream();

    /** Releases everything that came from this device. */
    @Override
    void close();
}

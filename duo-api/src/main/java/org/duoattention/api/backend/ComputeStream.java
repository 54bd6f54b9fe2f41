package org.duoattention.api.backend;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.duoattention.api.cache.SlotTable;

/**
 * An ordered queue of operations on the tensors and slabs of one device.
 *
 * <p>Operations may run later than the call, in order; {@link #synchronize} waits for them. Arguments that are arrays or
 * segments are read before the call returns unless said otherwise.
 *
 * <p>A stream belongs to the platform thread that opened it; another thread's call throws {@link WrongThreadException}.
 * Activations are F32 tensors {@code [tokens, width]}; weights may be F32, F16 or BF16 and are used without conversion.
 * The matrices of {@link #embed} and {@link #linear} may also be quantised; other operations refuse such a tensor with
 * {@link IllegalArgumentException}.
 * Sums are accumulated in at least F32. Output tensors do not overlap inputs unless an operation says so. Shapes are
 * checked before anything is queued: a mismatch throws {@link IllegalArgumentException} that holds the shapes; so do an
 * argument that came from another device and an output that was adopted. After close of the stream, its device, or an
 * argument: {@link IllegalStateException}.
 */
public interface ComputeStream extends AutoCloseable {
    /** The largest {@code k} of {@link #topK}. */
    int MAX_TOP_K = 1024;

    // Transfers

    /**
     * Copies host bytes into a tensor.
     *
     * @throws IllegalArgumentException unless the source has exactly {@code target.spec().byteSize()} bytes
     */
    void upload(MemorySegment source, Tensor target);

    /**
     * Copies a tensor into host memory. The target holds the data after the next {@link #synchronize} and must stay
     * alive until then.
     *
     * @throws IllegalArgumentException unless the target has exactly {@code source.spec().byteSize()} bytes
     */
    void download(Tensor source, MemorySegment target);

    /** Waits until everything queued is done, and throws what went wrong, if anything did. */
    void synchronize();

    // Dense operations

    /**
     * {@code out[t] = table[ids[t]]}.
     *
     * @param table {@code [vocabulary, width]}
     * @param ids token ids
     * @param out F32 {@code [ids.length, width]}
     * @throws IllegalArgumentException when an id is not in the table
     */
    void embed(Tensor table, int[] ids, Tensor out);

    /**
     * Root-mean-square normalisation (arXiv 1910.07467) of every consecutive group of {@code weight.elements()} elements
     * of a row: {@code out = x / sqrt(mean(x^2) + epsilon) * weight}. A weight shorter than the row normalises each head
     * on its own. {@code out} may be {@code x}.
     *
     * @param x F32 {@code [tokens, width]}
     * @param weight {@code [group]}, any weight type; {@code group} divides {@code width}
     * @param epsilon added to the mean
     * @param out F32 {@code [tokens, width]}
     */
    void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor out);

    /**
     * {@code out = x * transpose(weight) + bias}.
     *
     * @param x F32 {@code [tokens, in]}
     * @param projection weight, bias and output
     */
    void linear(Tensor x, Projection projection);

    /**
     * Rotates every head of every row in place; row {@code t} is at position {@code position + t}.
     *
     * @param x F32 {@code [tokens, heads * headDim]}
     * @param headDim width of a head; at least {@code 2 * rope.pairs()}
     * @param rope the frequencies
     * @param position absolute position of the first row
     */
    void rope(Tensor x, int headDim, Rope rope, long position);

    /**
     * {@code out = gate * sigmoid(gate) * up} (SwiGLU, arXiv 2002.05202), all F32 {@code [tokens, width]}. {@code out}
     * may be {@code gate} or {@code up}.
     */
    void swiGlu(Tensor gate, Tensor up, Tensor out);

    /** {@code target += x}, both F32 of the same shape. */
    void add(Tensor target, Tensor x);

    /**
     * The {@code k} largest elements of every row, the largest first, and of equal ones the one with the lower index. Zeros
     * of both signs are equal. NaN comes before everything else, so that a caller who looks at the first value sees it.
     * The targets may have any alignment; they hold the result after the next {@link #synchronize} and must stay alive
     * until then.
     *
     * @param x F32 {@code [rows, width]}
     * @param k 1 to the lesser of {@code width} and {@link #MAX_TOP_K}
     * @param indices I32 {@code [rows, k]} in host memory: where in its row each element is
     * @param values F32 {@code [rows, k]} in host memory: the elements themselves, bit by bit
     * @throws IllegalArgumentException when {@code k} is out of range or a target has another size
     */
    void topK(Tensor x, int k, MemorySegment indices, MemorySegment values);

    // Cache and attention

    /**
     * Appends the keys and values of the slab's heads at positions {@code slab.length() ..}. A quantised slab rounds every
     * group of a row on its own: offset and scale span the group's smallest and largest element, so that no element moves
     * by more than half a step and the rounding of offset and scale to F16. Elements are finite and within the range of F16.
     *
     * @param slab the slab
     * @param k F32 {@code [tokens, kvHeads * headDim]}: the keys of all KV heads of the layer, after RoPE
     * @param v likewise, the values
     * @throws IllegalArgumentException when {@code tokens} exceeds {@code maxChunk}
     * @throws IllegalStateException when the slab has no room: an eviction is missing or {@code maxTokens} is exceeded
     * @throws DeviceMemoryException as {@link Device#reserve}
     */
    void append(Slab slab, Tensor k, Tensor v);

    /**
     * Attention of the last {@code tokens} appended tokens over what the slab holds: softmax of {@code scale * q k}
     * times {@code v}, computed stably. Query head {@code h} reads KV head {@code h / queryHeadsPerKvHead}. The new
     * tokens are causal among themselves; earlier slots are visible as {@code mode} says.
     *
     * <p>Only the columns of {@code out} that belong to the query heads of the slab's KV heads are written.
     *
     * @param slab the slab; its last append had as many tokens as {@code q} has rows
     * @param q F32 {@code [tokens, attentionHeads * headDim]}, after RoPE
     * @param scale usually {@code 1 / sqrt(headDim)}
     * @param mode what streaming slabs see of the chunk; other retentions do not depend on it
     * @param out F32 {@code [tokens, attentionHeads * headDim]}; must not overlap {@code q}
     * @throws UnsupportedCapabilityException for {@link PrefillMode#WINDOW} without {@link Capability#WINDOW_PREFILL}
     */
    void attend(Slab slab, Tensor q, float scale, PrefillMode mode, Tensor out);

    /**
     * Evicts by position: a slab that retains sinks and recent tokens keeps exactly these. No effect on {@link
     * org.duoattention.api.cache.Retention.All}.
     *
     * @throws IllegalArgumentException for other retentions, which need {@link #compact}
     */
    void evict(Slab slab);

    /**
     * Positions, and scores when the retention asks for them, of the slots that one head retains: what the next append's
     * first query would see, so without the undo margin of streaming heads. Waits for queued work.
     *
     * @param head KV head of the layer; one of the slab's
     */
    SlotTable slots(Slab slab, int head);

    /**
     * Keeps only the given slots of every head.
     *
     * @param slab a slab that retains {@link org.duoattention.api.cache.Retention.TopScored} or {@link
     *     org.duoattention.api.cache.Retention.Custom}
     * @param keep for each of the slab's heads in ascending order the indices, strictly ascending, into what {@link
     *     #slots} returned; all of the same count
     */
    void compact(Slab slab, List<int[]> keep);

    /**
     * Takes back the last tokens, so that the slab is as if they had never been appended. An eviction that followed them
     * counts as one at the new length.
     *
     * @param length the new {@link Slab#length}
     * @throws IllegalArgumentException when {@code length} is less than {@link Slab#minLength} or more than the current
     *     length; the slab is unchanged
     * @throws UnsupportedCapabilityException without {@link Capability#ROLLBACK}
     */
    void truncate(Slab slab, long length);

    /**
     * Bytes that {@link #save} writes now.
     *
     * @throws UnsupportedCapabilityException without {@link Capability#SNAPSHOT}
     */
    long saveBytes(Slab slab);

    /**
     * Writes everything the slab holds into host memory, in a form that this backend's {@link #restore} reads. The
     * target holds the data after the next {@link #synchronize}.
     *
     * @param target exactly {@link #saveBytes} bytes, alive until then
     * @throws IllegalArgumentException when the target has another size
     * @throws UnsupportedCapabilityException without {@link Capability#SNAPSHOT}
     */
    void save(Slab slab, MemorySegment target);

    /**
     * Replaces the content of a slab by what {@link #save} wrote of a slab with an equal spec.
     *
     * @throws IllegalArgumentException when the bytes are not such a snapshot; the slab is unchanged
     * @throws DeviceMemoryException as {@link Device#reserve}; the slab is unchanged
     * @throws UnsupportedCapabilityException without {@link Capability#SNAPSHOT}
     */
    void restore(Slab slab, MemorySegment source);

    // Fused variants: backends override them where one pass is faster

    /** Several {@link #linear} with the same input. */
    default void linears(Tensor x, List<Projection> projections) {
        for (Projection projection : projections) {
            linear(x, projection);
        }
    }

    /** {@link #add} followed by {@link #rmsNorm} of the sum: {@code target += x; out = rmsNorm(target)}. */
    default void addRmsNorm(Tensor target, Tensor x, Tensor weight, float epsilon, Tensor out) {
        add(target, x);
        rmsNorm(target, weight, epsilon, out);
    }

    /** {@link #attend} over all slabs of a layer, which together hold every KV head once. */
    default void attendAll(List<Slab> slabs, Tensor q, float scale, PrefillMode mode, Tensor out) {
        for (Slab slab : slabs) {
            attend(slab, q, scale, mode, out);
        }
    }

    // Optional

    /**
     * The backward operations of this stream; the same object every time, ordered with the stream's other operations.
     *
     * @throws UnsupportedCapabilityException without {@link Capability#GRADIENTS}
     */
    Gradients gradients();

    /** Releases the stream; no effect the second time. Work already queued is finished first. */
    @Override
    void close();
}

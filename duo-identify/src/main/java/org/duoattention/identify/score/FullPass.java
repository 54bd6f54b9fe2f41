package org.duoattention.identify.score;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.model.DecoderWeights.Layer;
import org.duoattention.core.model.LayerParts;
import org.duoattention.core.session.CancelledException;
import org.duoattention.identify.distill.FrozenModel;

/**
 * Runs a model with full attention over whole sequences and lets somebody look at the attention of every layer. Goes
 * layer by layer, so that the keys and values of one layer are there at a time, and in blocks of rows.
 *
 * <p>Owns its stream and its memory on the device; belongs to the thread that made it.
 */
final class FullPass implements AutoCloseable {
    private static final int BLOCK = 512;

    private final List<AutoCloseable> owned = new ArrayList<>();
    private final FrozenModel model;
    private final LayerParts parts;
    private final int maxTokens;
    private final int block;
    private final ComputeStream stream;
    private final Slab slab;
    private final Tensor residual;
    private final Tensor normed;
    private final Tensor q;
    private final Tensor k;
    private final Tensor v;
    private final Tensor attended;
    private final Tensor delta;
    private final Tensor gate;
    private final Tensor up;

    /**
     * A block of rows of one layer. The tensors are valid during the call only and must not be changed.
     *
     * @param layer index of the layer
     * @param weights the layer
     * @param row first row
     * @param q {@code [rows, attentionHeads * headDim]}, rotated
     * @param k {@code [rows, kvHeads * headDim]}, rotated
     * @param v likewise, the values
     * @param attended like {@code q}: what full attention gives
     * @param residual {@code [rows, hidden]}: the residual stream with the attention's share
     */
    record Block(int layer, Layer weights, int row, Tensor q, Tensor k, Tensor v, Tensor attended, Tensor residual) {
        int rows() {
            return Math.toIntExact(q.spec().rows());
        }
    }

    /** Looks at attention. */
    interface Observer {
        /** A layer begins. */
        void begin(ComputeStream stream, int layer);

        /** A block of a layer is done; blocks come in order. */
        void see(ComputeStream stream, Block block);
    }

    /**
     * Allocates for sequences of up to {@code maxTokens} tokens.
     *
     * @throws org.duoattention.api.backend.DeviceMemoryException when the device has not enough memory
     */
    FullPass(FrozenModel model, int maxTokens) {
        this.model = model;
        this.parts = new LayerParts(model.config());
        this.maxTokens = maxTokens;
        this.block = Math.min(BLOCK, maxTokens);
        ModelShape shape = model.config().shape();
        try {
            stream = model.device().openStream();
            owned.add(stream);
            slab = slab(new Retention.All());
            residual = allocate(maxTokens, shape.hiddenSize());
            normed = allocate(block, shape.hiddenSize());
            q = allocate(block, shape.queryWidth());
            k = allocate(block, shape.kvWidth());
            v = allocate(block, shape.kvWidth());
            attended = allocate(block, shape.queryWidth());
            delta = allocate(block, shape.hiddenSize());
            gate = allocate(block, shape.intermediateSize());
            up = allocate(block, shape.intermediateSize());
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** Rows of a block at most. */
    int block() {
        return block;
    }

    /** Factor on the products of queries and keys. */
    float scale() {
        return parts.scale();
    }

    /** The stream, for whoever prepares something to look with. */
    ComputeStream stream() {
        return stream;
    }

    /** An F32 tensor that lives as long as the pass. */
    Tensor allocate(long rows, long width) {
        Tensor tensor = model.device().allocate(TensorSpec.of(DType.F32, rows, width));
        owned.add(tensor);
        return tensor;
    }

    /** A slab for all heads of one layer that lives as long as the pass. */
    Slab slab(Retention retention) {
        Slab made = open(retention);
        owned.add(made);
        return made;
    }

    /** A slab for all heads of one layer, which the caller closes. */
    Slab open(Retention retention) {
        Device device = model.device();
        ModelShape shape = model.config().shape();
        return device.allocate(new SlabSpec(
                shape,
                0,
                HeadSet.range(shape.kvHeads()),
                new BlockFormat.Dense(DType.F32),
                retention,
                maxTokens,
                block,
                0));
    }

    /**
     * Runs a sequence.
     *
     * @param ids at most as many as was allocated for
     * @param progress told after every block how many tokens of one layer went through it
     * @throws CancelledException when the thread was interrupted
     */
    void run(int[] ids, Observer observer, Progress progress) {
        Rope rope = model.rope().at(ids.length);
        for (int row = 0; row < ids.length; row += block) {
            int[] some = Arrays.copyOfRange(ids, row, Math.min(ids.length, row + block));
            stream.embed(model.weights().embedding(), some, residual.rows(row, some.length));
        }
        List<Layer> layers = model.weights().layers();
        for (int layer = 0; layer < layers.size(); layer++) {
            stream.truncate(slab, 0);
            observer.begin(stream, layer);
            for (int row = 0; row < ids.length; row += block) {
                if (Thread.interrupted()) {
                    throw new CancelledException(row + (long) layer * ids.length, (long) layers.size() * ids.length);
                }
                int count = Math.min(block, ids.length - row);
                run(layer, layers.get(layer), row, count, rope, observer);
                stream.synchronize();
                progress.tokens(count);
            }
        }
    }

    /** Told how many tokens went through a layer. */
    interface Progress {
        void tokens(int count);
    }

    private void run(int index, Layer layer, int row, int count, Rope rope, Observer observer) {
        Tensor x = residual.rows(row, count);
        Tensor n = normed.rows(0, count);
        Tensor change = delta.rows(0, count);
        Tensor out = attended.rows(0, count);
        Tensor queries = q.rows(0, count);
        Tensor keys = k.rows(0, count);
        Tensor values = v.rows(0, count);
        stream.rmsNorm(x, layer.inputNorm(), parts.epsilon(), n);
        parts.project(stream, layer, n, rope, row, queries, keys, values);
        stream.append(slab, keys, values);
        // The mode is about streaming heads; there are none.
        stream.attend(slab, queries, parts.scale(), PrefillMode.UPSTREAM, out);
        stream.linear(out, layer.o().to(change));
        stream.addRmsNorm(x, change, layer.postAttentionNorm(), parts.epsilon(), n);
        observer.see(stream, new Block(index, layer, row, queries, keys, values, out, x));
        parts.feedForward(stream, layer, n, gate.rows(0, count), up.rows(0, count), change);
        stream.add(x, change);
    }

    @Override
    public void close() {
        for (AutoCloseable one : owned.reversed()) {
            try {
                one.close();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }
}

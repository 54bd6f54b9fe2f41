package org.duoattention.backend.cuda;

import java.util.Locale;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedSpec;

/** Queues the operations of a decoder outside attention and linear layers. Arguments are checked already. */
final class DenseOperations {
    private static final int THREADS = 256;
    private static final int WARP = 32;
    /** Elements of a row that a thread of a normalisation takes in turn. */
    private static final int NORM_ELEMENTS = 8;

    private static final int MOST_NORM_THREADS = 1024;

    private final Kernels kernels;
    private final Launches launches;
    private final RopeFrequencies frequencies;

    DenseOperations(CudaDevice device, Launches launches) {
        this.kernels = device.kernels();
        this.launches = launches;
        this.frequencies = new RopeFrequencies(device);
    }

    /** The end of a kernel's name. */
    static String suffix(DType type) {
        return type.name().toLowerCase(Locale.ROOT);
    }

    void embed(CudaTensor table, int[] ids, CudaTensor out) {
        long width = out.spec().extent(1);
        QuantizedSpec quantized = table.quantized();
        int most = Launches.mostVars();
        for (int first = 0; first < ids.length && width > 0; first += most) {
            int count = Math.min(most, ids.length - first);
            launches.begin(Integer.BYTES * count + Long.BYTES);
            long addresses = launches.vars(ids, first, count);
            long target = out.address() + first * width * Float.BYTES;
            if (quantized == null) {
                launches.launch(
                        kernels.get("embed", "duo_embed_" + suffix(table.spec().dtype())),
                        count,
                        1,
                        1,
                        THREADS,
                        0,
                        table.address(),
                        addresses,
                        target,
                        width);
            } else {
                QuantizedLayout layout = QuantizedLayout.of(quantized);
                launches.launch(
                        kernels.get("embed", "duo_embed_" + quantized.format().label()),
                        count,
                        1,
                        1,
                        THREADS,
                        0,
                        table.address(),
                        layout.stride(),
                        table.address() + layout.scales(),
                        layout.kind(),
                        quantized.format().group(),
                        addresses,
                        target,
                        width);
            }
        }
    }

    void rmsNorm(CudaTensor x, CudaTensor weight, float epsilon, CudaTensor out) {
        long group = weight.spec().elements();
        if (x.spec().elements() > 0) {
            launches.launch(
                    kernels.get("norm", "duo_rms_norm_" + suffix(weight.spec().dtype())),
                    x.spec().elements() / group,
                    1,
                    1,
                    normThreads(group),
                    0,
                    x.address(),
                    weight.address(),
                    Launches.bits(epsilon),
                    out.address(),
                    group);
        }
    }

    void addRmsNorm(CudaTensor target, CudaTensor x, CudaTensor weight, float epsilon, CudaTensor out) {
        long group = weight.spec().elements();
        if (x.spec().elements() > 0) {
            launches.launch(
                    kernels.get(
                            "norm", "duo_add_rms_norm_" + suffix(weight.spec().dtype())),
                    x.spec().elements() / group,
                    1,
                    1,
                    normThreads(group),
                    0,
                    target.address(),
                    x.address(),
                    weight.address(),
                    Launches.bits(epsilon),
                    out.address(),
                    group);
        }
    }

    static int normThreads(long group) {
        long threads = Math.ceilDiv(Math.ceilDiv(group, NORM_ELEMENTS), WARP) * WARP;
        return (int) Math.min(MOST_NORM_THREADS, threads);
    }

    void rope(CudaTensor x, int headDim, Rope rope, long position) {
        rotate(x, headDim, rope, position, 1);
    }

    /** Rotates, or with a direction of -1 rotates back. */
    void rotate(CudaTensor x, int headDim, Rope rope, long position, double direction) {
        if (x.spec().elements() > 0) {
            launches.launch(
                    kernels.get("rope", "duo_rope"),
                    x.spec().extent(0),
                    1,
                    1,
                    THREADS,
                    2 * Float.BYTES * rope.pairs(),
                    x.address(),
                    x.spec().extent(1),
                    headDim,
                    frequencies.address(rope, launches),
                    rope.pairs(),
                    Double.doubleToRawLongBits(rope.attentionFactor()),
                    Double.doubleToRawLongBits(direction),
                    launches.var(position));
        }
    }

    void swiGlu(CudaTensor gate, CudaTensor up, CudaTensor out) {
        long elements = out.spec().elements();
        if (elements > 0) {
            launches.launch(
                    kernels.get("elementwise", "duo_swiglu"),
                    Math.ceilDiv(elements, THREADS),
                    1,
                    1,
                    THREADS,
                    0,
                    gate.address(),
                    up.address(),
                    out.address(),
                    elements);
        }
    }

    void add(CudaTensor target, CudaTensor x) {
        long elements = target.spec().elements();
        if (elements > 0) {
            launches.launch(
                    kernels.get("elementwise", "duo_add"),
                    Math.ceilDiv(elements, THREADS),
                    1,
                    1,
                    THREADS,
                    0,
                    target.address(),
                    x.address(),
                    elements);
        }
    }

    /** Gives device memory back, when the queue is finished. */
    void close() {
        frequencies.close();
    }
}

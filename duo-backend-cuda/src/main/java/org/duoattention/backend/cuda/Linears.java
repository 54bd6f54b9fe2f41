package org.duoattention.backend.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedSpec;

/**
 * Queues linear layers. Few tokens take kernels that read every weight once, as fast as memory gives them; more take
 * kernels that compute tiles: on tensor cores, or in F32 where inputs must not be rounded or tensor cores cannot take the
 * weight.
 */
final class Linears {
    /** From here on weights are used often enough to be brought to shared memory. */
    private static final int FEW_TOKENS = 8;
    /** Layers of one type that one launch computes for few tokens. */
    private static final int FUSED = 3;

    private static final int GEMV_THREADS = 128;
    private static final int GEMV_BLOCK_ROWS = 16;
    private static final int TILE = 64;
    private static final int TILE_THREADS = 256;

    private final Kernels kernels;
    private final Launches launches;
    private final boolean exact;
    private final TensorCoreLinears tensorCores;

    Linears(CudaDevice device, Launches launches) {
        this.kernels = device.kernels();
        this.launches = launches;
        this.exact = device.isExact();
        this.tensorCores = new TensorCoreLinears(device, launches);
    }

    /** Queues layers that read the same input. */
    void run(CudaTensor x, List<Projection> projections) {
        long tokens = x.spec().extent(0);
        if (tokens == 0) {
            return;
        }
        List<Projection> rest = new ArrayList<>();
        List<Projection> rounded = new ArrayList<>();
        for (Projection projection : projections) {
            if (projection.weight().spec().elements() == 0) {
                throw new IllegalArgumentException(
                        "the weight " + projection.weight().spec() + " has no elements");
            }
            if (tokens > FEW_TOKENS && !exact && TensorCoreLinears.canTake(x, projection)) {
                rounded.add(projection);
            } else if (tokens > FEW_TOKENS) {
                exact(x, projection);
            } else {
                rest.add(projection);
            }
        }
        if (!rounded.isEmpty()) {
            tensorCores.run(x, rounded);
        }
        while (!rest.isEmpty()) {
            BlockFormat format = weight(rest.getFirst()).format();
            List<Projection> fused = rest.stream()
                    .filter(projection -> weight(projection).format().equals(format))
                    .limit(FUSED)
                    .toList();
            if (format instanceof BlockFormat.Dense) {
                few(x, fused);
            } else {
                fewQuantized(x, fused);
            }
            rest.removeAll(fused);
        }
    }

    private void few(CudaTensor x, List<Projection> fused) {
        int tokens = Math.toIntExact(x.spec().extent(0));
        long[] arguments = new long[3 + 5 * FUSED];
        arguments[0] = x.address();
        arguments[1] = x.spec().extent(1);
        arguments[2] = tokens;
        for (int p = 0; p < FUSED; p++) {
            Projection projection = numbered(fused, p);
            arguments[3 + 5 * p] = weight(projection).address();
            arguments[4 + 5 * p] = bias(projection);
            arguments[5 + 5 * p] = biasType(projection);
            arguments[6 + 5 * p] = out(projection);
            arguments[7 + 5 * p] = projection.weight().spec().rows();
        }
        DType type = fused.getFirst().weight().spec().dtype();
        launches.launch(
                kernels.get("gemv", "duo_gemv_" + DenseOperations.suffix(type) + "_" + columns(tokens)),
                blocks(fused),
                1,
                1,
                GEMV_THREADS,
                0,
                arguments);
    }

    private void fewQuantized(CudaTensor x, List<Projection> fused) {
        int tokens = Math.toIntExact(x.spec().extent(0));
        BlockFormat.Grouped format = quantized(fused.getFirst()).format();
        // The same for all: they have the same columns and format.
        QuantizedLayout first = QuantizedLayout.of(quantized(fused.getFirst()));
        long[] arguments = new long[7 + 6 * FUSED];
        arguments[0] = x.address();
        arguments[1] = x.spec().extent(1);
        arguments[2] = tokens;
        arguments[3] = first.stride();
        arguments[4] = first.kind();
        arguments[5] = format.group();
        arguments[6] = first.shift();
        for (int p = 0; p < FUSED; p++) {
            Projection projection = numbered(fused, p);
            long codes = weight(projection).address();
            arguments[7 + 6 * p] = codes;
            arguments[8 + 6 * p] =
                    codes + QuantizedLayout.of(quantized(projection)).scales();
            arguments[9 + 6 * p] = bias(projection);
            arguments[10 + 6 * p] = biasType(projection);
            arguments[11 + 6 * p] = out(projection);
            arguments[12 + 6 * p] = projection.weight().spec().rows();
        }
        launches.launch(
                kernels.get("gemv_quantized", "duo_gemv_" + format.label() + "_" + columns(tokens)),
                blocks(fused),
                1,
                1,
                GEMV_THREADS,
                0,
                arguments);
    }

    /** Layer number p of a launch. What is missing has no blocks: the last layer takes all that are left. */
    private static Projection numbered(List<Projection> fused, int p) {
        return fused.get(Math.min(p, fused.size() - 1));
    }

    private static long blocks(List<Projection> fused) {
        return fused.stream()
                .mapToLong(projection -> Math.ceilDiv(projection.weight().spec().rows(), (long) GEMV_BLOCK_ROWS))
                .sum();
    }

    private void exact(CudaTensor x, Projection projection) {
        CudaTensor weight = weight(projection);
        long outputs = weight.spec().rows();
        long gridX = Math.ceilDiv(outputs, TILE);
        long gridY = Math.ceilDiv(x.spec().extent(0), TILE);
        if (weight.quantized() == null) {
            launches.launch(
                    kernels.get(
                            "gemm_exact",
                            "duo_gemm_exact_"
                                    + DenseOperations.suffix(weight.spec().dtype())),
                    gridX,
                    gridY,
                    1,
                    TILE_THREADS,
                    0,
                    x.address(),
                    x.spec().extent(1),
                    x.spec().extent(0),
                    weight.address(),
                    bias(projection),
                    biasType(projection),
                    out(projection),
                    outputs);
        } else {
            QuantizedSpec spec = quantized(projection);
            QuantizedLayout layout = QuantizedLayout.of(spec);
            launches.launch(
                    kernels.get("gemm_exact", "duo_gemm_exact_" + spec.format().label()),
                    gridX,
                    gridY,
                    1,
                    TILE_THREADS,
                    0,
                    x.address(),
                    x.spec().extent(1),
                    x.spec().extent(0),
                    weight.address(),
                    layout.stride(),
                    weight.address() + layout.scales(),
                    layout.kind(),
                    spec.format().group(),
                    bias(projection),
                    biasType(projection),
                    out(projection),
                    outputs);
        }
    }

    /** Kernels for few tokens are made for 1, 2, 4 and 8 of them. */
    private static int columns(int tokens) {
        return tokens == 1 ? 1 : Integer.highestOneBit(tokens - 1) << 1;
    }

    private static CudaTensor weight(Projection projection) {
        return (CudaTensor) projection.weight();
    }

    static QuantizedSpec quantized(Projection projection) {
        QuantizedSpec spec = weight(projection).quantized();
        if (spec == null) {
            throw new AssertionError(projection);
        }
        return spec;
    }

    private static long out(Projection projection) {
        return ((CudaTensor) projection.out()).address();
    }

    static long bias(Projection projection) {
        return projection.bias().map(bias -> ((CudaTensor) bias).address()).orElse(0L);
    }

    /** The number of the bias's type in {@code linear.cuh}. */
    static int biasType(Projection projection) {
        Optional<DType> type = projection.bias().map(Tensor::spec).map(spec -> spec.dtype());
        return type.map(t -> switch (t) {
                    case F32 -> 1;
                    case F16 -> 2;
                    case BF16 -> 3;
                    default -> throw new AssertionError(t);
                })
                .orElse(0);
    }
}

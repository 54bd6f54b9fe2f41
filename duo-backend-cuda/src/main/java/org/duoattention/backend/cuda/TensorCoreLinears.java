package org.duoattention.backend.cuda;

import java.util.List;
import java.util.Optional;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.backend.cuda.blas.MatrixProduct;
import org.duoattention.backend.cuda.driver.DeviceMemory;

/**
 * Linear layers of many tokens on tensor cores: the input is rounded to 16 bits, once for all layers that read it, sums
 * are F32. Tokens are taken in slices, so that rounded inputs take a bounded amount of memory.
 */
final class TensorCoreLinears {
    private static final int TILE = 128;
    private static final int THREADS = 256;
    private static final int DENSE_SHARED_BYTES = 65536;
    private static final int QUANTIZED_SHARED_BYTES = 55296;
    /** Numbers whose sum the kernels for quantised weights want. */
    private static final int SUMMED = 16;
    /** Most bytes of one rounded input. */
    private static final long ROUNDED_BYTES = 64L << 20;

    private final Kernels kernels;
    private final Launches launches;
    private final Optional<MatrixProduct> library;

    TensorCoreLinears(CudaDevice device, Launches launches) {
        this.kernels = device.kernels();
        this.launches = launches;
        this.library = device.products().product();
    }

    /** Whether the kernels can take the layer: they copy 16 bytes at a time. */
    static boolean canTake(CudaTensor x, Projection projection) {
        CudaTensor weight = (CudaTensor) projection.weight();
        QuantizedSpec quantized = weight.quantized();
        if (quantized != null) {
            return quantized.format().group() % SUMMED == 0 && x.address() % 16 == 0;
        }
        return weight.spec().dtype() != DType.F32 && weight.spec().extent(1) % 8 == 0 && weight.address() % 16 == 0;
    }

    /** What is in scratch memory of a slice; 0 where nothing needs it. */
    private record Rounded(long f16, long bf16, long sums, long workspace) {}

    /** Queues layers that read the same input. */
    void run(CudaTensor x, List<Projection> projections) {
        long in = x.spec().extent(1);
        long tokens = x.spec().extent(0);
        long most = Math.max(TILE, ROUNDED_BYTES / (2 * in) / TILE * TILE);
        long slice = Math.min(tokens, most);
        boolean f16 = false;
        boolean bf16 = false;
        boolean sums = false;
        for (Projection projection : projections) {
            boolean quantized = weight(projection).quantized() != null;
            boolean half = !quantized && weight(projection).spec().dtype() == DType.F16;
            f16 |= half;
            bf16 |= !half;
            sums |= quantized;
        }
        long part = DeviceMemory.blockBytes(2 * slice * in);
        long sumBytes = sums ? DeviceMemory.blockBytes(Float.BYTES * slice * (in / SUMMED)) : 0;
        long workspace = library.map(MatrixProduct::workspaceBytes).orElse(0L);
        long base = launches.scratch((f16 ? part : 0) + (bf16 ? part : 0) + sumBytes + workspace);
        long bf16At = base + (f16 ? part : 0);
        long sumsAt = bf16At + (bf16 ? part : 0);
        Rounded rounded = new Rounded(f16 ? base : 0, bf16 ? bf16At : 0, sums ? sumsAt : 0, sumsAt + sumBytes);
        for (long first = 0; first < tokens; first += slice) {
            long count = Math.min(slice, tokens - first);
            round(x.address() + first * in * Float.BYTES, count * in, rounded);
            for (Projection projection : projections) {
                long outputs = weight(projection).spec().rows();
                long out = ((CudaTensor) projection.out()).address() + first * outputs * Float.BYTES;
                if (weight(projection).quantized() != null) {
                    quantized(rounded, in, count, projection, out);
                } else {
                    dense(rounded, in, count, projection, out);
                }
            }
        }
    }

    private void round(long x, long elements, Rounded rounded) {
        if (rounded.f16 != 0) {
            elementwise("duo_round_f16", elements, x, rounded.f16, elements);
        }
        if (rounded.sums != 0) {
            elementwise("duo_round_bf16_sums", elements / SUMMED, x, rounded.bf16, rounded.sums, elements);
        } else if (rounded.bf16 != 0) {
            elementwise("duo_round_bf16", elements, x, rounded.bf16, elements);
        }
    }

    private void elementwise(String kernel, long threads, long... arguments) {
        launches.launch(
                kernels.get("elementwise", kernel), Math.ceilDiv(threads, THREADS), 1, 1, THREADS, 0, arguments);
    }

    private void dense(Rounded rounded, long in, long tokens, Projection projection, long out) {
        boolean half = weight(projection).spec().dtype() == DType.F16;
        long x = half ? rounded.f16 : rounded.bf16;
        long weight = weight(projection).address();
        long outputs = weight(projection).spec().rows();
        MatrixProduct.Type type = half ? MatrixProduct.Type.F16 : MatrixProduct.Type.BF16;
        MatrixProduct product = library.orElse(null);
        if (product != null
                && out % 16 == 0
                && outputs % 4 == 0
                && product.supports(type, (int) tokens, (int) outputs, (int) in)) {
            launches.now(stream -> product.multiply(
                    type, (int) tokens, (int) outputs, (int) in, x, weight, out, rounded.workspace, stream));
            if (projection.bias().isPresent()) {
                elementwise(
                        "duo_add_bias",
                        tokens * outputs,
                        out,
                        Linears.bias(projection),
                        Linears.biasType(projection),
                        tokens * outputs,
                        outputs);
            }
            return;
        }
        launches.launch(
                kernels.get("gemm_half", half ? "duo_gemm_f16" : "duo_gemm_bf16"),
                Math.ceilDiv(outputs, TILE),
                Math.ceilDiv(tokens, TILE),
                1,
                THREADS,
                DENSE_SHARED_BYTES,
                x,
                in,
                tokens,
                weight,
                Linears.bias(projection),
                Linears.biasType(projection),
                out,
                outputs);
    }

    private void quantized(Rounded rounded, long in, long tokens, Projection projection, long out) {
        QuantizedSpec spec = Linears.quantized(projection);
        QuantizedLayout layout = QuantizedLayout.of(spec);
        long codes = weight(projection).address();
        launches.launch(
                kernels.get("gemm_quantized", "duo_gemm_" + spec.format().label()),
                Math.ceilDiv(spec.rows(), TILE),
                Math.ceilDiv(tokens, TILE),
                1,
                THREADS,
                QUANTIZED_SHARED_BYTES,
                rounded.bf16,
                rounded.sums,
                in,
                tokens,
                codes,
                layout.stride(),
                codes + layout.scales(),
                layout.kind(),
                spec.format().group(),
                Linears.bias(projection),
                Linears.biasType(projection),
                out,
                spec.rows());
    }

    private static CudaTensor weight(Projection projection) {
        return (CudaTensor) projection.weight();
    }
}

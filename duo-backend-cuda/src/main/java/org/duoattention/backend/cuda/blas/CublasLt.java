package org.duoattention.backend.cuda.blas;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.cublas.cublasLtMatmulDescOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulHeuristicResult_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulPreferenceOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatrixLayoutOpaque_t;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;

/**
 * Products by cuBLASLt (documentation of cuBLAS, "Using the cublasLt API").
 *
 * <p>Its matrices are column-major. The weight {@code [outputs, inputs]} by rows is {@code inputs x outputs} by columns, the
 * activations {@code inputs x tokens}, and the output {@code outputs x tokens}; so the product is {@code W^T X}, with all
 * leading dimensions those of dense rows.
 */
public final class CublasLt implements MatrixProduct {
    /** What NVIDIA recommends for Hopper, and more than earlier chips use. */
    private static final long WORKSPACE = 32L << 20;

    /** Elements of 16 bytes: rows begin at multiples of it. */
    private static final int ALIGNED = 8;
    /** To what matrices are aligned; without being told the library counts on 256 bytes. */
    private static final int ALIGNED_BYTES = 16;

    private static final int[] ALIGNMENTS = {
        cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
    };

    private static final List<String> LIBRARIES = List.of("libcudart.so.13", "libcublasLt.so.13");
    private static final List<String> FUNCTIONS = List.of(
            "cublasLtCreate",
            "cublasLtDestroy",
            "cublasLtGetVersion",
            "cublasLtMatmul",
            "cublasLtMatmulAlgoGetHeuristic",
            "cublasLtMatmulDescCreate",
            "cublasLtMatmulDescDestroy",
            "cublasLtMatmulDescSetAttribute",
            "cublasLtMatmulPreferenceCreate",
            "cublasLtMatmulPreferenceDestroy",
            "cublasLtMatmulPreferenceSetAttribute",
            "cublasLtMatrixLayoutCreate",
            "cublasLtMatrixLayoutDestroy");

    /** Shapes that are remembered. A model has some five; every length of a prompt's last chunk makes as many again. */
    private static final int MOST_PLANS = 64;

    private record Shape(Type type, int tokens, int outputs, int inputs) {}

    /**
     * Everything that a product of one shape needs, empty when the library has no algorithm for it; the one used longest ago
     * comes first.
     */
    private final Map<Shape, Optional<Plan>> plans = new LinkedHashMap<>(MOST_PLANS, 0.75f, true);

    private final cublasLtContext handle = new cublasLtContext();
    private final FloatPointer one = new FloatPointer(1).put(1.0f);
    private final FloatPointer zero = new FloatPointer(1).put(0.0f);
    private final String description;
    private boolean closed;

    private CublasLt() {
        check("cublasLtCreate", cublas.cublasLtCreate(handle));
        long version = cublas.cublasLtGetVersion();
        description = "cuBLASLt " + version / 10_000 + "." + version / 100 % 100 + "." + version % 100;
    }

    /** The library, or why it cannot be used. */
    public sealed interface Opened {
        /** It was opened; the caller closes it. */
        record Ready(CublasLt product) implements Opened {}

        /** It was not. */
        record Absent(String reason) implements Opened {}
    }

    /** Opens the library for the context that is current. */
    public static Opened open() {
        try {
            Bindings.configure();
            Optional<String> problem = Bindings.problem(LIBRARIES, FUNCTIONS);
            if (problem.isEmpty()) {
                // The bindings' library needs it, though nothing of it is called.
                problem = Bindings.problem(List.of("libcublas.so.13"), List.of());
            }
            return problem.isPresent() ? new Opened.Absent(problem.get()) : new Opened.Ready(new CublasLt());
        } catch (LinkageError e) {
            return new Opened.Absent("the bindings of cuBLAS cannot be loaded: " + e);
        } catch (IllegalStateException e) {
            return new Opened.Absent(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public long workspaceBytes() {
        return WORKSPACE;
    }

    @Override
    public synchronized boolean supports(Type type, int tokens, int outputs, int inputs) {
        return inputs % ALIGNED == 0
                && plan(new Shape(type, tokens, outputs, inputs)).isPresent();
    }

    private Optional<Plan> plan(Shape shape) {
        if (closed) {
            throw new IllegalStateException(description + " is closed");
        }
        Optional<Plan> plan = plans.get(shape);
        if (plan == null) {
            plan = Plan.of(handle, shape);
            if (plans.size() == MOST_PLANS) {
                Iterator<Optional<Plan>> oldest = plans.values().iterator();
                // What was queued with it does not need it any more: the library has read it.
                oldest.next().ifPresent(Plan::close);
                oldest.remove();
            }
            plans.put(shape, plan);
        }
        return plan;
    }

    @Override
    public synchronized void multiply(
            Type type,
            int tokens,
            int outputs,
            int inputs,
            long x,
            long weight,
            long out,
            long workspace,
            long stream) {
        Plan plan = plan(new Shape(type, tokens, outputs, inputs))
                .orElseThrow(() -> new IllegalArgumentException(description + " has no product of " + tokens + " x "
                        + inputs + " by " + outputs + " x " + inputs + " in " + type));
        Pointer output = Bindings.at(out);
        check(
                "cublasLtMatmul",
                cublas.cublasLtMatmul(
                        handle,
                        plan.operation,
                        one,
                        Bindings.at(weight),
                        plan.weight,
                        Bindings.at(x),
                        plan.activations,
                        zero,
                        output,
                        plan.output,
                        output,
                        plan.output,
                        plan.chosen.algo(),
                        Bindings.at(workspace),
                        WORKSPACE,
                        new CUstream_st(Bindings.at(stream))));
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            plans.values().forEach(plan -> plan.ifPresent(Plan::close));
            check("cublasLtDestroy", cublas.cublasLtDestroy(handle));
            one.close();
            zero.close();
        }
    }

    private static void check(String function, int status) {
        if (status != cublas.CUBLAS_STATUS_SUCCESS) {
            throw new IllegalStateException(function + " failed with status " + status);
        }
    }

    /** Descriptors and the algorithm of one shape. */
    private static final class Plan {
        private final cublasLtMatmulDescOpaque_t operation;
        private final cublasLtMatrixLayoutOpaque_t weight;
        private final cublasLtMatrixLayoutOpaque_t activations;
        private final cublasLtMatrixLayoutOpaque_t output;
        private final cublasLtMatmulHeuristicResult_t chosen = new cublasLtMatmulHeuristicResult_t();

        private Plan(Shape shape) {
            int type = shape.type() == Type.BF16 ? cudart.CUDA_R_16BF : cudart.CUDA_R_16F;
            operation = new cublasLtMatmulDescOpaque_t(created(
                    "cublasLtMatmulDescCreate",
                    place -> cublas.cublasLtMatmulDescCreate(place, cublas.CUBLAS_COMPUTE_32F, cudart.CUDA_R_32F)));
            weight = layout(type, shape.inputs(), shape.outputs());
            activations = layout(type, shape.inputs(), shape.tokens());
            output = layout(cudart.CUDA_R_32F, shape.outputs(), shape.tokens());
            try (IntPointer transpose = new IntPointer(1).put(cublas.CUBLAS_OP_T)) {
                check(
                        "cublasLtMatmulDescSetAttribute",
                        cublas.cublasLtMatmulDescSetAttribute(
                                operation, cublas.CUBLASLT_MATMUL_DESC_TRANSA, transpose, Integer.BYTES));
            }
        }

        static Optional<Plan> of(cublasLtContext handle, Shape shape) {
            Plan plan = new Plan(shape);
            try {
                if (plan.choose(handle)) {
                    return Optional.of(plan);
                }
            } catch (RuntimeException | Error e) {
                plan.close();
                throw e;
            }
            plan.close();
            return Optional.empty();
        }

        private boolean choose(cublasLtContext handle) {
            cublasLtMatmulPreferenceOpaque_t preference = new cublasLtMatmulPreferenceOpaque_t(
                    created("cublasLtMatmulPreferenceCreate", cublas::cublasLtMatmulPreferenceCreate));
            int[] found = new int[1];
            try (LongPointer bytes = new LongPointer(1).put(WORKSPACE);
                    IntPointer alignment = new IntPointer(1).put(ALIGNED_BYTES)) {
                check(
                        "cublasLtMatmulPreferenceSetAttribute",
                        cublas.cublasLtMatmulPreferenceSetAttribute(
                                preference, cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes, Long.BYTES));
                for (int attribute : ALIGNMENTS) {
                    check(
                            "cublasLtMatmulPreferenceSetAttribute",
                            cublas.cublasLtMatmulPreferenceSetAttribute(
                                    preference, attribute, alignment, Integer.BYTES));
                }
                int status = cublas.cublasLtMatmulAlgoGetHeuristic(
                        handle, operation, weight, activations, output, output, preference, 1, chosen, found);
                return status == cublas.CUBLAS_STATUS_SUCCESS
                        && found[0] == 1
                        && chosen.state() == cublas.CUBLAS_STATUS_SUCCESS;
            } finally {
                cublas.cublasLtMatmulPreferenceDestroy(preference);
            }
        }

        private static cublasLtMatrixLayoutOpaque_t layout(int type, long rows, long columns) {
            return new cublasLtMatrixLayoutOpaque_t(created(
                    "cublasLtMatrixLayoutCreate",
                    place -> cublas.cublasLtMatrixLayoutCreate(place, type, rows, columns, rows)));
        }

        void close() {
            cublas.cublasLtMatmulDescDestroy(operation);
            cublas.cublasLtMatrixLayoutDestroy(weight);
            cublas.cublasLtMatrixLayoutDestroy(activations);
            cublas.cublasLtMatrixLayoutDestroy(output);
            chosen.close();
        }

        private interface Creation {
            int into(PointerPointer<Pointer> place);
        }

        private static Pointer created(String function, Creation creation) {
            try (PointerPointer<Pointer> place = new PointerPointer<>(1)) {
                check(function, creation.into(place));
                return Bindings.at(place.get().address());
            }
        }
    }
}

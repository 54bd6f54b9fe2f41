package org.duoattention.backend.cuda.blas;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.Locale;
import java.util.Random;
import org.duoattention.backend.cuda.blas.CublasLt.Opened;

/**
 * Multiplies by cuBLASLt in a process of its own, where stand-ins for NVIDIA's libraries compute in host memory: once loaded,
 * a library is there for every later test. Prints the largest error of some shapes, or why there is no library. With the
 * argument {@code open} it only opens the library; with {@code many} it prints how many layouts of matrices there are after
 * products of many lengths, and after close.
 */
final class ProductProgram {
    private ProductProgram() {}

    public static void main(String[] arguments) {
        switch (CublasLt.open()) {
            case Opened.Absent absent -> System.out.println("absent: " + absent.reason());
            case Opened.Ready ready -> {
                try (MatrixProduct product = ready.product()) {
                    System.out.println(product.description());
                    switch (arguments.length == 0 ? "" : arguments[0]) {
                        case "open" -> {}
                        case "many" -> many(product);
                        default -> errors(product);
                    }
                }
                if (arguments.length > 0 && arguments[0].equals("many")) {
                    System.out.println("layouts " + layouts());
                }
            }
        }
    }

    private static void errors(MatrixProduct product) {
        for (MatrixProduct.Type type : MatrixProduct.Type.values()) {
            for (int[] shape : new int[][] {{16, 16, 16}, {5, 24, 40}, {33, 8, 72}}) {
                System.out.println(type + " "
                        + (product.supports(type, shape[0], shape[1], shape[2])
                                ? String.format(Locale.ROOT, "%.1e", error(product, type, shape))
                                : "not supported"));
            }
        }
    }

    /** Each length but the first two is asked for once; the first comes again and again, the second at the end. */
    private static void many(MatrixProduct product) {
        int[] often = {9, 16, 16};
        int[] seldom = {10, 16, 16};
        double worst = Math.max(
                error(product, MatrixProduct.Type.BF16, often), error(product, MatrixProduct.Type.BF16, seldom));
        for (int tokens = 11; tokens < 300; tokens++) {
            product.supports(MatrixProduct.Type.BF16, tokens, 16, 16);
            product.supports(MatrixProduct.Type.BF16, often[0], often[1], often[2]);
        }
        worst = Math.max(worst, error(product, MatrixProduct.Type.BF16, often));
        worst = Math.max(worst, error(product, MatrixProduct.Type.BF16, seldom));
        System.out.println(String.format(Locale.ROOT, "BF16 %.1e", worst));
        System.out.println("layouts " + layouts());
    }

    /** What the stand-in counts. */
    private static int layouts() {
        try {
            return (int) Linker.nativeLinker()
                    .downcallHandle(
                            SymbolLookup.libraryLookup("libcublasLt.so.13", Arena.global())
                                    .find("duo_test_layouts")
                                    .orElseThrow(),
                            FunctionDescriptor.of(ValueLayout.JAVA_INT))
                    .invokeExact();
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static double error(MatrixProduct product, MatrixProduct.Type type, int[] shape) {
        int tokens = shape[0];
        int outputs = shape[1];
        int inputs = shape[2];
        Random random = new Random(7);
        try (Arena arena = Arena.ofConfined()) {
            float[] x = numbers(random, tokens * inputs);
            float[] w = numbers(random, outputs * inputs);
            MemorySegment out = arena.allocate(4L * tokens * outputs, 256);
            product.multiply(
                    type,
                    tokens,
                    outputs,
                    inputs,
                    stored(arena, type, x),
                    stored(arena, type, w),
                    out.address(),
                    arena.allocate(product.workspaceBytes(), 256).address(),
                    0);
            double worst = 0;
            for (int t = 0; t < tokens; t++) {
                for (int o = 0; o < outputs; o++) {
                    double sum = 0;
                    for (int i = 0; i < inputs; i++) {
                        sum += (double) x[t * inputs + i] * w[o * inputs + i];
                    }
                    float got = out.getAtIndex(ValueLayout.JAVA_FLOAT, (long) t * outputs + o);
                    worst = Math.max(worst, Math.abs(got - sum));
                }
            }
            return worst;
        }
    }

    /** Multiples of 1/16 below 1, which both types hold exactly. */
    private static float[] numbers(Random random, int count) {
        float[] numbers = new float[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = (random.nextInt(31) - 15) / 16.0f;
        }
        return numbers;
    }

    private static long stored(Arena arena, MatrixProduct.Type type, float[] numbers) {
        MemorySegment segment = arena.allocate(2L * numbers.length, 256);
        for (int i = 0; i < numbers.length; i++) {
            short bits = type == MatrixProduct.Type.F16
                    ? Float.floatToFloat16(numbers[i])
                    : (short) (Float.floatToRawIntBits(numbers[i]) >>> 16);
            segment.setAtIndex(ValueLayout.JAVA_SHORT, i, bits);
        }
        return segment.address();
    }
}

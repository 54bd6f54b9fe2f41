package org.duoattention.backend.cpu.vector;

import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The vector width of this JVM. The compiler turns vector code into instructions only where the species is a constant, so
 * there is one width per JVM, chosen when this class is initialised: the system property {@code duo.cpu.simd}, one of
 * {@code auto} (the widest up to 512 bits that the JVM prefers), {@code 512}, {@code 256} or {@code 128}. A width that the
 * processor lacks gives right results slowly.
 */
final class Simd {
    private static final VectorShape SHAPE =
            VectorShape.forBitSize(SimdWidth.bits().orElseGet(Simd::preferredBits));

    static final VectorSpecies<Float> F = VectorSpecies.of(float.class, SHAPE);
    static final VectorSpecies<Integer> I = VectorSpecies.of(int.class, SHAPE);
    /** As many shorts as {@link #F} has floats: half the width. */
    static final VectorSpecies<Short> S =
            VectorSpecies.of(short.class, VectorShape.forBitSize(SHAPE.vectorBitSize() / 2));

    /** At least as many bytes as {@link #F} has floats: a quarter of the width, but not less than 64 bits. */
    static final VectorSpecies<Byte> B =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, SHAPE.vectorBitSize() / 4)));

    /** Float lanes of a vector. */
    static final int L = F.length();

    /** Floats of a panel, the unit in which matrices are packed: two vectors. */
    static final int PANEL = 2 * L;

    private Simd() {}

    private static int preferredBits() {
        return Math.clamp(VectorShape.preferredShape().vectorBitSize(), 128, 512);
    }

    /** The instruction set and the lanes, for people. */
    static String description() {
        String arch = System.getProperty("os.arch");
        boolean x86 = arch.equals("amd64") || arch.equals("x86_64");
        String name = switch (SHAPE) {
            case S_512_BIT -> x86 ? "AVX-512" : "512-bit";
            case S_256_BIT -> x86 ? "AVX2" : "256-bit";
            default -> x86 ? "SSE" : "NEON";
        };
        return "Vector API, " + name + " (" + L + " float lanes)";
    }
}

package org.duoattention.backend.cpu.kernel;

/**
 * The input of linear layers in the order and the number format that suit their kernels: what {@link CpuKernels#pack}
 * writes. Grows to the largest request and stays. On the heap, because loops that the compiler keeps in registers run about
 * 15 % faster on arrays than on memory segments.
 */
public final class PackedInput {
    private float[] floats = {};
    private int[] ints = {};

    /** Makes room; what was there is undefined afterwards. */
    public void reserve(int floatCount, int intCount) {
        if (floats.length < floatCount) {
            floats = new float[floatCount];
        }
        if (ints.length < intCount) {
            ints = new int[intCount];
        }
    }

    /** At least as many as were reserved. */
    public float[] floats() {
        return floats;
    }

    /** At least as many as were reserved. */
    public int[] ints() {
        return ints;
    }
}

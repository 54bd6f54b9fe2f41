package org.duoattention.backend.cuda;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * One launch of a kernel. Two are equal when the device would do the same.
 *
 * @param kernel the kernel
 * @param gridX blocks in x
 * @param gridY blocks in y
 * @param gridZ blocks in z
 * @param threads threads of a block, in one dimension
 * @param sharedBytes dynamic shared memory of a block
 * @param arguments the bits of each argument; not to be changed
 */
record Launch(Kernel kernel, int gridX, int gridY, int gridZ, int threads, int sharedBytes, long[] arguments) {
    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof Launch that
                && kernel == that.kernel
                && gridX == that.gridX
                && gridY == that.gridY
                && gridZ == that.gridZ
                && threads == that.threads
                && sharedBytes == that.sharedBytes
                && Arrays.equals(arguments, that.arguments);
    }

    @Override
    public int hashCode() {
        return 31 * (31 * System.identityHashCode(kernel) + gridX) + Arrays.hashCode(arguments);
    }
}

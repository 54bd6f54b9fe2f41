package org.duoattention.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import org.duoattention.backend.cuda.blas.CublasLt;
import org.duoattention.backend.cuda.blas.MatrixProduct;
import org.duoattention.backend.cuda.driver.Context;
import org.duoattention.backend.cuda.driver.CudaException;
import org.duoattention.backend.cuda.driver.DeviceMemory;

/**
 * NVIDIA's matrix products on one device, if they are there and right: a small product is compared with the host's before any
 * other is computed. Where they are not, own kernels do the work, and {@link #remark} says why.
 */
final class Products implements AutoCloseable {
    private static final int SIZE = 16;

    private final Optional<MatrixProduct> product;
    private final String remark;

    private Products(Optional<MatrixProduct> product, String remark) {
        this.product = product;
        this.remark = remark;
    }

    /** None, for a reason that need not be told. */
    static Products none() {
        return new Products(Optional.empty(), "own matrix products");
    }

    /** Those of the library, after the check; never throws for what is merely missing or wrong. */
    static Products open(Context context, DeviceMemory memory) {
        context.enter();
        return switch (CublasLt.open()) {
            case CublasLt.Opened.Absent absent -> without(absent.reason());
            case CublasLt.Opened.Ready ready -> checked(ready.product(), context, memory);
        };
    }

    private static Products without(String reason) {
        return new Products(Optional.empty(), "own matrix products (" + reason + ")");
    }

    private static Products checked(MatrixProduct product, Context context, DeviceMemory memory) {
        String reason;
        try {
            if (isRight(product, context, memory)) {
                return new Products(Optional.of(product), product.description());
            }
            reason = product.description() + " computed a product wrong";
        } catch (CudaException | IllegalStateException | IllegalArgumentException e) {
            reason = "the first product by " + product.description() + " failed: " + e.getMessage();
        }
        product.close();
        return without(reason);
    }

    /** The product of two matrices of small whole numbers, which is exact in any order. Waits after each step. */
    private static boolean isRight(MatrixProduct product, Context context, DeviceMemory memory) {
        if (!product.supports(MatrixProduct.Type.BF16, SIZE, SIZE, SIZE)) {
            return false;
        }
        long inputBytes = (long) SIZE * SIZE * Short.BYTES;
        long outputBytes = (long) SIZE * SIZE * Float.BYTES;
        DeviceMemory.Block block =
                memory.allocate("a check of matrix products", product.workspaceBytes() + 2 * inputBytes + outputBytes);
        long stream = context.createStream();
        try (Arena arena = Arena.ofConfined()) {
            long x = block.address() + product.workspaceBytes();
            long weight = x + inputBytes;
            long out = weight + inputBytes;
            MemorySegment inputs = arena.allocate(2 * inputBytes, Float.BYTES);
            for (int i = 0; i < SIZE * SIZE; i++) {
                inputs.setAtIndex(ValueLayout.JAVA_SHORT, i, bf16(left(i / SIZE, i % SIZE)));
                inputs.setAtIndex(ValueLayout.JAVA_SHORT, (long) SIZE * SIZE + i, bf16(right(i / SIZE, i % SIZE)));
            }
            MemorySegment result = arena.allocate(outputBytes, Float.BYTES);
            context.driver().copyToDevice(inputs, x, 2 * inputBytes, stream);
            context.driver().streamSynchronize(stream);
            product.multiply(MatrixProduct.Type.BF16, SIZE, SIZE, SIZE, x, weight, out, block.address(), stream);
            context.driver().copyToHost(out, result, outputBytes, stream);
            context.driver().streamSynchronize(stream);
            for (int t = 0; t < SIZE; t++) {
                for (int o = 0; o < SIZE; o++) {
                    int sum = 0;
                    for (int i = 0; i < SIZE; i++) {
                        sum += left(t, i) * right(o, i);
                    }
                    if (result.getAtIndex(ValueLayout.JAVA_FLOAT, (long) t * SIZE + o) != sum) {
                        return false;
                    }
                }
            }
            return true;
        } finally {
            context.destroyStream(stream);
            memory.free(block);
        }
    }

    private static int left(int row, int column) {
        return (row * 5 + column * 3) % 7 - 3;
    }

    private static int right(int row, int column) {
        return (row * 2 + column * 11) % 5 - 2;
    }

    private static short bf16(int number) {
        return (short) (Float.floatToRawIntBits(number) >>> Short.SIZE);
    }

    /** The library's products, if they can be used. */
    Optional<MatrixProduct> product() {
        return product;
    }

    /** What computes products, for the description of the device. */
    String remark() {
        return remark;
    }

    @Override
    public void close() {
        product.ifPresent(MatrixProduct::close);
    }
}

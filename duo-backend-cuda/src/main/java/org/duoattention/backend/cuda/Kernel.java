package org.duoattention.backend.cuda;

import org.duoattention.backend.cuda.driver.Driver;

/** One kernel of a loaded module. */
final class Kernel {
    /** Dynamic shared memory that a kernel may have without asking. */
    private static final int DEFAULT_SHARED_BYTES = 48 << 10;
    /** {@code CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES}. */
    private static final int MAX_DYNAMIC_SHARED_BYTES = 8;

    private final Driver driver;
    private final String name;
    private final long function;
    private int sharedBytes = DEFAULT_SHARED_BYTES;

    Kernel(Driver driver, String name, long function) {
        this.driver = driver;
        this.name = name;
        this.function = function;
    }

    long function() {
        return function;
    }

    /** Asks for more dynamic shared memory than a kernel has by default, once. The context is current. */
    synchronized void reserveShared(int bytes) {
        if (bytes > sharedBytes) {
            driver.call("cuFuncSetAttribute", function, MAX_DYNAMIC_SHARED_BYTES, bytes);
            sharedBytes = bytes;
        }
    }

    @Override
    public String toString() {
        return name;
    }
}

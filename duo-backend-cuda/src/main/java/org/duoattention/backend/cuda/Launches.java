package org.duoattention.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongConsumer;
import org.duoattention.backend.cuda.driver.Context;
import org.duoattention.backend.cuda.driver.DeviceMemory;
import org.duoattention.backend.cuda.driver.Driver;
import org.duoattention.backend.cuda.driver.PinnedMemory;
import org.jspecify.annotations.Nullable;

/**
 * The queue of a stream: kernels to be launched at the next flush.
 *
 * <p>Numbers that change from step to step, positions and lengths and token ids, are no arguments of kernels but {@linkplain
 * #var variables} in device memory, which one copy at the head of a flush sets. So the launches of one decode step are equal
 * to those of the next, and become one of a {@linkplain Graphs graph}.
 *
 * <p>Used by the thread that owns the stream, and by any that closes a tensor; hence synchronised.
 */
final class Launches implements AutoCloseable {
    /** Bytes of variables in one flush; a decode step takes a few kilobytes, the token ids of a chunk the most. */
    private static final int VARIABLE_BYTES = 1 << 20;
    /** How many flushes may be under way before their variables' host memory is used again. */
    private static final int VARIABLE_SETS = 3;

    private static final int VARIABLE_ALIGNMENT = 16;
    /** The device has something to do while the host goes on with a long prefill. */
    private static final int MOST_QUEUED = 2048;

    /** More than any kernel has. */
    static final int MOST_ARGUMENTS = 48;

    private static final int MOST_THREADS = 1024;
    private static final int LARGEST_GRID_YZ = 65535;
    private static final long STAGING_BYTES = 4 << 20;

    private final Context context;
    private final Driver driver;
    private final DeviceMemory memory;
    private final long stream;
    private final DeviceMemory.Block variables;
    private final PinnedMemory hostVariables;
    private final long[] variableEvents = new long[VARIABLE_SETS];
    private final Arena arena = Arena.ofShared();
    private final MemorySegment argumentValues = arena.allocate(8L * MOST_ARGUMENTS, 8);
    private final MemorySegment argumentAddresses = addresses(arena, argumentValues);
    private final List<Launch> queue = new ArrayList<>();
    private final Graphs graphs;
    private @Nullable Staging staging;
    private DeviceMemory.@Nullable Block scratch;
    /** Read without waiting for what goes on. */
    private volatile long scratchBytes;

    private int variableSet;
    private int variableBytes;
    /** Whether variables were set that no launch has followed yet: a flush would lose them. */
    private boolean unused;

    private boolean idle = true;
    private boolean closed;

    Launches(Context context, DeviceMemory memory) {
        this.context = context;
        this.driver = context.driver();
        this.memory = memory;
        this.graphs = new Graphs(context);
        this.variables = memory.allocate("the variables of a stream", VARIABLE_BYTES);
        this.stream = context.createStream();
        this.hostVariables = new PinnedMemory(context, (long) VARIABLE_SETS * VARIABLE_BYTES);
        for (int i = 0; i < VARIABLE_SETS; i++) {
            variableEvents[i] = context.createEvent();
        }
    }

    /** The addresses of {@link #MOST_ARGUMENTS} values of 8 bytes, as the driver takes them. */
    static MemorySegment addresses(Arena arena, MemorySegment values) {
        MemorySegment addresses = arena.allocate(8L * MOST_ARGUMENTS, 8);
        for (int i = 0; i < MOST_ARGUMENTS; i++) {
            addresses.setAtIndex(ValueLayout.JAVA_LONG, i, values.address() + 8L * i);
        }
        return addresses;
    }

    /** A float as an argument of a kernel. */
    static long bits(float value) {
        return Integer.toUnsignedLong(Float.floatToRawIntBits(value));
    }

    /** The device address of a {@code long long} that has this value in the launches that are queued until the next flush. */
    synchronized long var(long value) {
        int at = variable(Long.BYTES);
        host().set(ValueLayout.JAVA_LONG, at, value);
        return variables.address() + at;
    }

    /**
     * The device address of an array of {@code int} that has these values in the launches that are queued until the next
     * flush. Aligned to 16 bytes.
     */
    synchronized long vars(int[] values, int from, int count) {
        int at = variable(Integer.BYTES * count);
        MemorySegment.copy(values, from, host(), ValueLayout.JAVA_INT, at, count);
        return variables.address() + at;
    }

    /** As {@link #vars(int[], int, int)} with all values. */
    synchronized long vars(int... values) {
        return vars(values, 0, values.length);
    }

    /** As {@link #vars(int[], int, int)} with {@code long long} values. */
    synchronized long vars(long[] values) {
        int at = variable(Long.BYTES * values.length);
        MemorySegment.copy(values, 0, host(), ValueLayout.JAVA_LONG, at, values.length);
        return variables.address() + at;
    }

    /** How many {@code int} one array of variables may have. */
    static int mostVars() {
        return VARIABLE_BYTES / 2 / Integer.BYTES;
    }

    /**
     * Begins an operation: its variables and launches are not torn apart by a flush, if it sets no more than these bytes of
     * variables. A queue that has become long is flushed first.
     */
    synchronized void begin(int mostVariableBytes) {
        requireOpen();
        if (mostVariableBytes > VARIABLE_BYTES) {
            throw new IllegalArgumentException(
                    mostVariableBytes + " bytes of variables exceed the " + VARIABLE_BYTES + " there are");
        }
        unused = false;
        if (variableBytes + mostVariableBytes > VARIABLE_BYTES || queue.size() >= MOST_QUEUED) {
            flush();
        }
    }

    private int variable(int bytes) {
        requireOpen();
        int at = variableBytes;
        if (at + bytes > VARIABLE_BYTES) {
            throw new IllegalStateException("variables of " + bytes + " bytes exceed what the operation began with");
        }
        if (at == 0) {
            context.enter();
            driver.call("cuEventSynchronize", variableEvents[variableSet]);
        }
        unused = true;
        variableBytes = Math.ceilDiv(at + bytes, VARIABLE_ALIGNMENT) * VARIABLE_ALIGNMENT;
        return at;
    }

    private MemorySegment host() {
        return hostVariables.segment().asSlice((long) variableSet * VARIABLE_BYTES, VARIABLE_BYTES);
    }

    /**
     * Device memory for what lives during one operation, at the same address as long as nobody asks for more. Operations
     * that follow use the same memory: they run one after the other.
     */
    synchronized long scratch(long bytes) {
        requireOpen();
        if (scratch == null || scratch.bytes() < bytes) {
            finish();
            if (scratch != null) {
                memory.free(scratch);
                scratch = null;
                scratchBytes = 0;
            }
            scratch = memory.allocate("scratch memory of a stream", bytes);
            scratchBytes = scratch.bytes();
        }
        return scratch.address();
    }

    /** The size of the scratch memory so far; may be asked by any thread. */
    long scratchBytes() {
        return scratchBytes;
    }

    /**
     * Queues a kernel.
     *
     * @param threads threads of a block, in one dimension
     * @param sharedBytes dynamic shared memory of a block
     * @param arguments device addresses, {@code long long} and {@code int} values as they are, floats as {@link #bits}
     */
    synchronized void launch(
            Kernel kernel, long gridX, long gridY, long gridZ, int threads, int sharedBytes, long... arguments) {
        requireOpen();
        if (gridX < 1
                || gridX > Integer.MAX_VALUE
                || gridY < 1
                || gridY > LARGEST_GRID_YZ
                || gridZ < 1
                || gridZ > LARGEST_GRID_YZ
                || threads < 1
                || threads > MOST_THREADS
                || arguments.length > MOST_ARGUMENTS
                || sharedBytes > context.info().sharedBytes()) {
            throw new IllegalArgumentException(
                    "a launch of " + kernel + " with a grid of " + gridX + " x " + gridY + " x "
                            + gridZ + ", " + threads + " threads, " + sharedBytes + " bytes of shared memory and "
                            + arguments.length + " arguments");
        }
        unused = false;
        queue.add(new Launch(kernel, (int) gridX, (int) gridY, (int) gridZ, threads, sharedBytes, arguments));
    }

    /**
     * Hands everything queued to the driver.
     *
     * @throws IllegalStateException in the middle of an operation that has set variables and not launched what reads them
     */
    synchronized void flush() {
        requireOpen();
        if (unused) {
            throw new IllegalStateException("variables are set after what needs a flush, not before");
        }
        if (queue.isEmpty()) {
            variableBytes = 0;
            return;
        }
        context.enter();
        if (variableBytes > 0) {
            driver.copyToDevice(host(), variables.address(), variableBytes, stream);
            driver.call("cuEventRecord", variableEvents[variableSet], stream);
            variableSet = (variableSet + 1) % VARIABLE_SETS;
            variableBytes = 0;
        }
        idle = false;
        try {
            long graph = graphs.of(queue);
            if (graph != 0) {
                driver.graphLaunch(graph, stream);
            } else {
                queue.forEach(this::launchNow);
            }
        } finally {
            queue.clear();
        }
    }

    private void launchNow(Launch launch) {
        launch.kernel().reserveShared(launch.sharedBytes());
        MemorySegment.copy(launch.arguments(), 0, argumentValues, ValueLayout.JAVA_LONG, 0, launch.arguments().length);
        driver.launchKernel(
                launch.kernel().function(),
                launch.gridX(),
                launch.gridY(),
                launch.gridZ(),
                launch.threads(),
                launch.sharedBytes(),
                stream,
                argumentAddresses);
    }

    /** Waits until everything queued is done. */
    synchronized void finish() {
        flush();
        if (!idle) {
            context.enter();
            driver.streamSynchronize(stream);
            idle = true;
        }
    }

    /** As {@link #finish}; nothing happens after close, which finished everything. */
    synchronized void finishUnlessClosed() {
        if (!closed) {
            begin(0);
            finish();
        }
    }

    /** Copies host memory to the device after what is queued; the source has been read when this returns. */
    synchronized void upload(MemorySegment source, long target) {
        flush();
        context.enter();
        idle = false;
        staging().upload(source, target, stream);
    }

    /** Copies device memory to the host when everything queued is done. */
    synchronized void download(long source, MemorySegment target) {
        flush();
        if (target.byteSize() > 0) {
            context.enter();
            staging().download(source, target, stream);
            idle = true;
        }
    }

    /** Copies device memory after what is queued; the two do not overlap. */
    synchronized void copy(long source, long target, long bytes) {
        flush();
        context.enter();
        idle = false;
        driver.call("cuMemcpyDtoDAsync_v2", target, source, bytes, stream);
    }

    /** Queues work on the CUDA stream itself after what is queued; the context is current meanwhile. */
    synchronized void now(LongConsumer work) {
        flush();
        context.enter();
        idle = false;
        work.accept(stream);
    }

    /** Sets bytes of device memory to zero after what is queued. */
    synchronized void zero(long target, long bytes) {
        flush();
        context.enter();
        idle = false;
        driver.call("cuMemsetD8Async", target, (byte) 0, bytes, stream);
    }

    private Staging staging() {
        if (staging == null) {
            staging = new Staging(context, STAGING_BYTES);
        }
        return staging;
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the stream is closed");
        }
    }

    /** Finishes what is queued and gives everything back; no effect the second time. */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        try {
            begin(0);
            finish();
        } finally {
            closed = true;
            if (staging != null) {
                staging.close();
            }
            if (scratch != null) {
                memory.free(scratch);
            }
            memory.free(variables);
            graphs.close();
            for (long event : variableEvents) {
                context.destroyEvent(event);
            }
            hostVariables.close();
            context.destroyStream(stream);
            arena.close();
        }
    }
}

package org.duoattention.backend.cuda.driver;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The primary context of one device. May be used from any thread: {@link #enter} makes it current there. */
public final class Context implements AutoCloseable {
    private static final int MULTIPROCESSORS = 16;
    private static final int MAJOR = 75;
    private static final int MINOR = 76;
    private static final int SHARED_BYTES = 97;
    /** {@code CU_STREAM_NON_BLOCKING}: the legacy default stream is never waited for. */
    private static final int NON_BLOCKING = 1;
    /** {@code CU_EVENT_DISABLE_TIMING}. */
    private static final int NO_TIMING = 2;

    private final Driver driver;
    private final int device;
    private final long handle;
    private final DeviceInfo info;

    private Context(Driver driver, int device, long handle, DeviceInfo info) {
        this.driver = driver;
        this.device = device;
        this.handle = handle;
        this.info = info;
    }

    /**
     * Opens a device; the caller closes the context.
     *
     * @param ordinal number of the device, from 0
     * @throws CudaException when there is none, or no driver behind the library
     */
    public static Context open(Driver driver, int ordinal) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(8, 8);
            driver.call("cuInit", 0);
            driver.call("cuDeviceGet", out, ordinal);
            int device = out.get(ValueLayout.JAVA_INT, 0);
            DeviceInfo info = info(driver, device, arena);
            driver.call("cuDevicePrimaryCtxRetain", out, device);
            return new Context(driver, device, out.get(ValueLayout.JAVA_LONG, 0), info);
        }
    }

    private static DeviceInfo info(Driver driver, int device, Arena arena) {
        MemorySegment name = arena.allocate(256);
        MemorySegment bytes = arena.allocate(8, 8);
        driver.call("cuDeviceGetName", name, 255, device);
        driver.call("cuDeviceTotalMem_v2", bytes, device);
        return new DeviceInfo(
                name.getString(0),
                attribute(driver, device, MAJOR, arena),
                attribute(driver, device, MINOR, arena),
                attribute(driver, device, MULTIPROCESSORS, arena),
                attribute(driver, device, SHARED_BYTES, arena),
                bytes.get(ValueLayout.JAVA_LONG, 0));
    }

    private static int attribute(Driver driver, int device, int attribute, Arena arena) {
        MemorySegment value = arena.allocate(4, 4);
        driver.call("cuDeviceGetAttribute", value, attribute, device);
        return value.get(ValueLayout.JAVA_INT, 0);
    }

    /** The functions. */
    public Driver driver() {
        return driver;
    }

    /** What the device is. */
    public DeviceInfo info() {
        return info;
    }

    int device() {
        return device;
    }

    /** Makes this context current for the calling thread: before any other call on its resources. */
    public void enter() {
        driver.setCurrent(handle);
    }

    /** Device memory that nobody has, in bytes. */
    public long freeBytes() {
        enter();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment free = arena.allocate(8, 8);
            driver.call("cuMemGetInfo_v2", free, arena.allocate(8, 8));
            return free.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    /** A new stream, to be destroyed by {@link #destroyStream}. */
    public long createStream() {
        enter();
        return created("cuStreamCreate", NON_BLOCKING);
    }

    /** Destroys a stream when its work is done. */
    public void destroyStream(long stream) {
        enter();
        driver.call("cuStreamDestroy_v2", stream);
    }

    /** A new event without times, to be destroyed by {@link #destroyEvent}. */
    public long createEvent() {
        enter();
        return created("cuEventCreate", NO_TIMING);
    }

    /** Destroys an event. */
    public void destroyEvent(long event) {
        enter();
        driver.call("cuEventDestroy_v2", event);
    }

    /** Loads an image; the module is unloaded with the context. */
    public long loadModule(byte[] image) {
        enter();
        try (Arena arena = Arena.ofConfined()) {
            // Images that are text end with a zero.
            MemorySegment data = arena.allocate(image.length + 1L, 16);
            MemorySegment.copy(image, 0, data, ValueLayout.JAVA_BYTE, 0, image.length);
            return created("cuModuleLoadData", data);
        }
    }

    /** Unloads a module. */
    public void unloadModule(long module) {
        enter();
        driver.call("cuModuleUnload", module);
    }

    /** A kernel of a module. */
    public long function(long module, String name) {
        enter();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(8, 8);
            driver.call("cuModuleGetFunction", out, module, arena.allocateFrom(name));
            return out.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    private long created(String function, Object argument) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(8, 8);
            driver.call(function, out, argument);
            return out.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    /** Gives the context back; what was made in it is gone when nobody else has it. */
    @Override
    public void close() {
        driver.call("cuDevicePrimaryCtxRelease_v2", device);
    }
}

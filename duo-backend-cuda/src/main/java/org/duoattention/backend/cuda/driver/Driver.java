package org.duoattention.backend.cuda.driver;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The functions of the driver API, bound by FFM. Every call checks its result. May be used from any thread; the library
 * stays loaded.
 *
 * <p>Calls that are made once per launch have a handle each; the others go through {@link #call}, which takes
 * microseconds more.
 */
public final class Driver {
    /** The system property that names another library than {@link #DEFAULT_LIBRARY}. */
    public static final String PROPERTY = "duo.cuda.driver";

    /** What NVIDIA's driver installs. */
    public static final String DEFAULT_LIBRARY = "libcuda.so.1";

    /** Every function that is called. A symbol that is bound lazily and missing would end the process when it is called. */
    public static final List<String> FUNCTIONS = List.of(
            "cuInit",
            "cuDriverGetVersion",
            "cuGetErrorName",
            "cuGetErrorString",
            "cuDeviceGetCount",
            "cuDeviceGet",
            "cuDeviceGetName",
            "cuDeviceGetAttribute",
            "cuDeviceTotalMem_v2",
            "cuDevicePrimaryCtxRetain",
            "cuDevicePrimaryCtxRelease_v2",
            "cuCtxSetCurrent",
            "cuMemGetInfo_v2",
            "cuMemGetAllocationGranularity",
            "cuMemAddressReserve",
            "cuMemAddressFree",
            "cuMemCreate",
            "cuMemRelease",
            "cuMemMap",
            "cuMemUnmap",
            "cuMemSetAccess",
            "cuMemHostAlloc",
            "cuMemFreeHost",
            "cuMemcpyHtoDAsync_v2",
            "cuMemcpyDtoHAsync_v2",
            "cuMemcpyDtoDAsync_v2",
            "cuMemsetD8Async",
            "cuModuleLoadData",
            "cuModuleUnload",
            "cuModuleGetFunction",
            "cuFuncSetAttribute",
            "cuLaunchKernel",
            "cuStreamCreate",
            "cuStreamDestroy_v2",
            "cuStreamSynchronize",
            "cuEventCreate",
            "cuEventDestroy_v2",
            "cuEventRecord",
            "cuEventSynchronize",
            "cuGraphCreate",
            "cuGraphDestroy",
            "cuGraphAddKernelNode_v2",
            "cuGraphInstantiateWithFlags",
            "cuGraphExecDestroy",
            "cuGraphLaunch");

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

    private final String library;
    private final SymbolLookup symbols;
    private final Map<String, MethodHandle> handles = new ConcurrentHashMap<>();
    private final MethodHandle launchKernel;
    private final MethodHandle graphLaunch;
    private final MethodHandle setCurrent;
    private final MethodHandle streamSynchronize;
    private final MethodHandle copyToDevice;
    private final MethodHandle copyToHost;

    private Driver(String library, SymbolLookup symbols) {
        this.library = library;
        this.symbols = symbols;
        for (String function : FUNCTIONS) {
            address(function);
        }
        launchKernel = handle(
                "cuLaunchKernel",
                FunctionDescriptor.of(
                        INT, LONG, INT, INT, INT, INT, INT, INT, INT, LONG, ValueLayout.ADDRESS, ValueLayout.ADDRESS));
        graphLaunch = handle("cuGraphLaunch", FunctionDescriptor.of(INT, LONG, LONG));
        setCurrent = handle("cuCtxSetCurrent", FunctionDescriptor.of(INT, LONG));
        streamSynchronize = handle("cuStreamSynchronize", FunctionDescriptor.of(INT, LONG));
        copyToDevice =
                handle("cuMemcpyHtoDAsync_v2", FunctionDescriptor.of(INT, LONG, ValueLayout.ADDRESS, LONG, LONG));
        copyToHost = handle("cuMemcpyDtoHAsync_v2", FunctionDescriptor.of(INT, ValueLayout.ADDRESS, LONG, LONG, LONG));
    }

    /**
     * Loads the library. It stays loaded: a driver that has been initialised is not made to be unloaded.
     *
     * @throws IllegalArgumentException when there is no such library
     * @throws IllegalCallerException when native access is not enabled
     * @throws IllegalStateException with one sentence for the user when a function is missing
     */
    public static Driver load(String library) {
        return new Driver(library, SymbolLookup.libraryLookup(library, Arena.global()));
    }

    private MemorySegment address(String function) {
        return symbols.find(function)
                .orElseThrow(() -> new IllegalStateException(
                        "the driver " + library + " has no " + function + "; it is too old, or no CUDA driver"));
    }

    private MethodHandle handle(String function, FunctionDescriptor descriptor) {
        return Linker.nativeLinker().downcallHandle(address(function), descriptor);
    }

    /**
     * Calls a function that returns a {@code CUresult}. Arguments are {@link Integer}, {@link Long} (handles, sizes and
     * device addresses), {@link Byte} or {@link MemorySegment} (host addresses), as the function's parameters are.
     *
     * @throws CudaException when it fails
     */
    public void call(String function, Object... arguments) {
        int result = result(function, arguments);
        if (result != 0) {
            throw failure(function, result);
        }
    }

    /** As {@link #call}, but hands the {@code CUresult} back. */
    public int result(String function, Object... arguments) {
        MethodHandle handle = handles.computeIfAbsent(function, name -> {
            MemoryLayout[] parameters = new MemoryLayout[arguments.length];
            for (int i = 0; i < parameters.length; i++) {
                parameters[i] = switch (arguments[i]) {
                    case Integer number -> INT;
                    case Long number -> LONG;
                    case Byte number -> ValueLayout.JAVA_BYTE;
                    case MemorySegment segment -> ValueLayout.ADDRESS;
                    default -> throw new IllegalArgumentException("no parameter of " + function + ": " + arguments[i]);
                };
            }
            return handle(name, FunctionDescriptor.of(INT, parameters));
        });
        try {
            return (int) handle.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /** Makes a context current for the calling thread. */
    void setCurrent(long context) {
        try {
            check("cuCtxSetCurrent", (int) setCurrent.invokeExact(context));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /**
     * Queues a kernel.
     *
     * @param parameters addresses of the arguments
     */
    public void launchKernel(
            long function,
            int gridX,
            int gridY,
            int gridZ,
            int threads,
            int sharedBytes,
            long stream,
            MemorySegment parameters) {
        try {
            check("cuLaunchKernel", (int) launchKernel.invokeExact(
                    function, gridX, gridY, gridZ, threads, 1, 1, sharedBytes, stream, parameters, MemorySegment.NULL));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /** Queues an instantiated graph. */
    public void graphLaunch(long graph, long stream) {
        try {
            check("cuGraphLaunch", (int) graphLaunch.invokeExact(graph, stream));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /** Waits for a stream. */
    public void streamSynchronize(long stream) {
        try {
            check("cuStreamSynchronize", (int) streamSynchronize.invokeExact(stream));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /** Queues a copy from native host memory. */
    public void copyToDevice(MemorySegment source, long target, long bytes, long stream) {
        try {
            check("cuMemcpyHtoDAsync", (int) copyToDevice.invokeExact(target, source, bytes, stream));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    /** Queues a copy to native host memory. */
    public void copyToHost(long source, MemorySegment target, long bytes, long stream) {
        try {
            check("cuMemcpyDtoHAsync", (int) copyToHost.invokeExact(target, source, bytes, stream));
        } catch (Throwable e) {
            throw rethrown(e);
        }
    }

    private void check(String function, int result) {
        if (result != 0) {
            throw failure(function, result);
        }
    }

    private static RuntimeException rethrown(Throwable e) {
        switch (e) {
            case RuntimeException known -> throw known;
            case Error error -> throw error;
            default -> throw new AssertionError(e);
        }
    }

    /** The exception for a result that is not {@code CUDA_SUCCESS}. */
    public CudaException failure(String function, int result) {
        return new CudaException(function, result, text("cuGetErrorName", result), text("cuGetErrorString", result));
    }

    private String text(String function, int result) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            if (result(function, result, pointer) != 0) {
                return "unknown";
            }
            return pointer.get(ValueLayout.ADDRESS, 0).reinterpret(256).getString(0);
        }
    }
}

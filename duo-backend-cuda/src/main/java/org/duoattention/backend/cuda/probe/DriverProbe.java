package org.duoattention.backend.cuda.probe;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Optional;
import org.duoattention.api.backend.Requirements;
import org.duoattention.backend.cuda.library.NativeLibrary;

/**
 * Looks for the driver and a GPU, step by step, and says in one sentence at which step it stopped. Creates no context, so a
 * GPU that others use is left alone. Never throws, and never calls a function that is not there.
 */
public final class DriverProbe {
    /** CUDA 12.0 (driver 525): the newest functions called, explicit graphs with {@code cuGraphAddKernelNode_v2}, are its. */
    private static final int OLDEST_DRIVER = 12000;
    /** Ampere: bf16 in tensor cores and asynchronous copies to shared memory. */
    private static final int OLDEST_MAJOR = 8;

    private static final int NO_DEVICE = 100;
    private static final int MAJOR = 75;
    private static final int MINOR = 76;
    private static final int NAME_BYTES = 256;
    private static final List<String> OWN_FUNCTIONS = List.of(
            "cuInit",
            "cuDriverGetVersion",
            "cuGetErrorName",
            "cuDeviceGetCount",
            "cuDeviceGet",
            "cuDeviceGetName",
            "cuDeviceGetAttribute",
            "cuDeviceTotalMem_v2");

    /** Apart, because making them takes longer than finding out that there is no driver. */
    private static final class Types {
        /** Names of errors are shorter. */
        static final AddressLayout TEXT = ADDRESS.withTargetLayout(MemoryLayout.sequenceLayout(NAME_BYTES, JAVA_BYTE));

        static final FunctionDescriptor OF_POINTER = FunctionDescriptor.of(JAVA_INT, ADDRESS);
        static final FunctionDescriptor OF_INT = FunctionDescriptor.of(JAVA_INT, JAVA_INT);
        static final FunctionDescriptor OF_POINTER_INT = FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT);
        static final FunctionDescriptor OF_POINTER_INT_INT =
                FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT);
        static final FunctionDescriptor OF_INT_POINTER = FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS);
    }

    /** What was found. */
    public sealed interface Answer {
        /** A GPU that can be used. */
        record Usable(Gpu gpu) implements Answer {}

        /**
         * Why there is none.
         *
         * @param othersMayBe whether another GPU of this machine might be usable
         */
        record Unusable(String reason, boolean othersMayBe) implements Answer {}
    }

    private final String name;
    private final List<String> functions;

    /**
     * A probe of one driver.
     *
     * @param name the driver's library, usually {@code libcuda.so.1}
     * @param functions everything that the backend calls of it
     */
    public DriverProbe(String name, List<String> functions) {
        this.name = name;
        this.functions = List.copyOf(functions);
    }

    /**
     * The first GPU that can be used and could hold the weights of a model.
     *
     * @param requirements the model, if it is known
     */
    public Answer first(Optional<Requirements> requirements) {
        Answer first = look(0, requirements);
        Answer answer = first;
        for (int i = 1; answer instanceof Answer.Unusable unusable && unusable.othersMayBe(); i++) {
            answer = look(i, requirements);
        }
        return answer instanceof Answer.Usable ? answer : first;
    }

    /** Whether the GPU with a number can be used at all. */
    public Answer look(int ordinal) {
        try {
            Optional<NativeLibrary> library = NativeLibrary.ofSystem(name);
            return library.isEmpty() ? no("driver not found (" + name + ")") : look(library.get(), ordinal);
        } catch (IllegalCallerException e) {
            return no("native access is not enabled; add --enable-native-access=ALL-UNNAMED");
        }
    }

    private Answer look(int ordinal, Optional<Requirements> requirements) {
        Answer answer = look(ordinal);
        if (requirements.isPresent() && answer instanceof Answer.Usable usable) {
            long needed = LeastMemory.bytes(requirements.get());
            if (needed > usable.gpu().memoryBytes()) {
                return notThis(label(ordinal, usable.gpu().name()) + " has "
                        + Gpu.gigabytes(usable.gpu().memoryBytes())
                        + " of memory; the weights of " + requirements.get().model() + " alone take "
                        + Gpu.gigabytes(needed)
                        + " or more");
            }
        }
        return answer;
    }

    private Answer look(NativeLibrary driver, int ordinal) {
        List<String> unknown = driver.missing(OWN_FUNCTIONS);
        if (!unknown.isEmpty()) {
            return no(name + " is no driver of CUDA: it has no function " + unknown.getFirst());
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(JAVA_LONG);
            int result = call(driver.function("cuDriverGetVersion", Types.OF_POINTER), out);
            if (result != 0) {
                return failed(driver, "cuDriverGetVersion", result);
            }
            int version = out.get(JAVA_INT, 0);
            if (version < OLDEST_DRIVER) {
                return no("the driver supports CUDA " + Gpu.version(version) + "; " + Gpu.version(OLDEST_DRIVER)
                        + " or newer is needed, so update it (NVIDIA driver 525 or newer)");
            }
            List<String> missing = driver.missing(functions);
            if (!missing.isEmpty()) {
                return no("the driver, for CUDA " + Gpu.version(version) + ", has no function " + missing.getFirst()
                        + "; update it");
            }
            return devices(driver, ordinal, version, out);
        }
    }

    private Answer devices(NativeLibrary driver, int ordinal, int version, MemorySegment out) {
        int result = call(driver.function("cuInit", Types.OF_INT), 0);
        if (result == NO_DEVICE) {
            return no("no GPU of NVIDIA was found (see nvidia-smi and CUDA_VISIBLE_DEVICES)");
        }
        if (result != 0) {
            return failed(driver, "cuInit", result);
        }
        result = call(driver.function("cuDeviceGetCount", Types.OF_POINTER), out);
        if (result != 0) {
            return failed(driver, "cuDeviceGetCount", result);
        }
        int count = out.get(JAVA_INT, 0);
        if (count == 0) {
            return no("no GPU of NVIDIA was found (see nvidia-smi and CUDA_VISIBLE_DEVICES)");
        }
        if (ordinal < 0 || ordinal >= count) {
            return no("there is no GPU " + ordinal + "; "
                    + (count == 1 ? "the only one is 0" : "they are 0 to " + (count - 1)));
        }
        result = call(driver.function("cuDeviceGet", Types.OF_POINTER_INT), out, ordinal);
        return result != 0
                ? failed(driver, "cuDeviceGet", result)
                : device(driver, ordinal, out.get(JAVA_INT, 0), version);
    }

    private Answer device(NativeLibrary driver, int ordinal, int device, int version) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(NAME_BYTES);
            MemorySegment bytes = arena.allocate(JAVA_LONG);
            MemorySegment numbers = arena.allocate(JAVA_INT, 2);
            MethodHandle attribute = driver.function("cuDeviceGetAttribute", Types.OF_POINTER_INT_INT);
            int result =
                    call(driver.function("cuDeviceGetName", Types.OF_POINTER_INT_INT), text, NAME_BYTES - 1, device);
            result = result != 0
                    ? result
                    : call(driver.function("cuDeviceTotalMem_v2", Types.OF_POINTER_INT), bytes, device);
            result = result != 0 ? result : call(attribute, numbers, MAJOR, device);
            result = result != 0 ? result : call(attribute, numbers.asSlice(Integer.BYTES), MINOR, device);
            if (result != 0) {
                return failed(driver, "asking for the properties of GPU " + ordinal, result);
            }
            Gpu gpu = new Gpu(
                    ordinal,
                    text.getString(0),
                    numbers.getAtIndex(JAVA_INT, 0),
                    numbers.getAtIndex(JAVA_INT, 1),
                    bytes.get(JAVA_LONG, 0),
                    version);
            return gpu.major() < OLDEST_MAJOR
                    ? notThis(label(ordinal, gpu.name()) + " has compute capability " + gpu.major() + "." + gpu.minor()
                            + "; " + OLDEST_MAJOR + ".0 or newer is needed")
                    : new Answer.Usable(gpu);
        }
    }

    private static String label(int ordinal, String name) {
        return "GPU " + ordinal + ", " + name + ",";
    }

    private static Answer no(String reason) {
        return new Answer.Unusable(reason, false);
    }

    private static Answer notThis(String reason) {
        return new Answer.Unusable(reason, true);
    }

    private static Answer failed(NativeLibrary driver, String what, int result) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ADDRESS);
            String error = "error " + result;
            if (call(driver.function("cuGetErrorName", Types.OF_INT_POINTER), result, pointer) == 0) {
                error = pointer.get(Types.TEXT, 0).getString(0);
            }
            return no("the driver is there but does not work: " + what + " gave " + error
                    + " (is its kernel module loaded?)");
        }
    }

    private static int call(MethodHandle function, Object... arguments) {
        try {
            return (int) function.invokeWithArguments(arguments);
        } catch (Throwable e) {
            // Only an argument of the wrong type could be thrown here.
            throw new IllegalStateException(e);
        }
    }
}

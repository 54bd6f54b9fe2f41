package org.duoattention.backend.cuda.kernel;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.backend.cuda.library.NativeLibrary;

/**
 * NVIDIA's run-time compiler, bound by FFM: JavaCPP's binding wants the runtime library and with it a driver, this one needs
 * neither. Safe to share.
 *
 * <p>The library is looked for at the path in the system property {@code duo.cuda.nvrtc}, then by its usual names.
 */
final class Nvrtc {
    private static final String PROPERTY = "duo.cuda.nvrtc";
    private static final String[] NAMES = {"libnvrtc.so.13", "libnvrtc.so.12"};
    private static final int SUCCESS = 0;
    private static final int BUILTIN_OPERATION_FAILURE = 7;

    private final NativeLibrary library;
    private final int major;
    private final int minor;
    private final MethodHandle create;
    private final MethodHandle compile;
    private final MethodHandle destroy;
    private final Map<String, MethodHandle> getters;

    private Nvrtc(NativeLibrary library) {
        this.library = library;
        FunctionDescriptor ofPointers2 = FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS);
        this.create = library.function(
                "nvrtcCreateProgram",
                FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS));
        this.compile =
                library.function("nvrtcCompileProgram", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, ADDRESS));
        this.destroy = library.function("nvrtcDestroyProgram", FunctionDescriptor.of(JAVA_INT, ADDRESS));
        this.getters = Map.of(
                "nvrtcGetCUBINSize", library.function("nvrtcGetCUBINSize", ofPointers2),
                "nvrtcGetCUBIN", library.function("nvrtcGetCUBIN", ofPointers2),
                "nvrtcGetProgramLogSize", library.function("nvrtcGetProgramLogSize", ofPointers2),
                "nvrtcGetProgramLog", library.function("nvrtcGetProgramLog", ofPointers2));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment version = arena.allocate(JAVA_INT, 2);
            check("nvrtcVersion", call(library.function("nvrtcVersion", ofPointers2), version, version.asSlice(4)));
            this.major = version.getAtIndex(JAVA_INT, 0);
            this.minor = version.getAtIndex(JAVA_INT, 1);
        }
    }

    /** The compiler, where there is one that can be used. */
    static Optional<Nvrtc> find() {
        String chosen = System.getProperty(PROPERTY);
        return (chosen == null ? NativeLibrary.find(NAMES) : NativeLibrary.find(chosen)).map(Nvrtc::new);
    }

    /** What it is, for keys of caches and messages, for example {@code nvrtc 13.0}. */
    String version() {
        return "nvrtc " + major + "." + minor;
    }

    /** The major version of CUDA whose drivers run what it makes. */
    int major() {
        return major;
    }

    /**
     * Compiles to a cubin.
     *
     * @param name for the log
     * @param headers by the name under which the source includes them
     * @throws KernelException with the compiler's log when it fails
     */
    byte[] compile(String name, String source, Map<String, String> headers, List<String> options) {
        preloadBuiltins();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(ADDRESS);
            MemorySegment names =
                    strings(arena, headers.keySet().stream().sorted().toList());
            MemorySegment texts = strings(
                    arena, headers.keySet().stream().sorted().map(headers::get).toList());
            check(
                    "nvrtcCreateProgram",
                    call(
                            create,
                            handle,
                            arena.allocateFrom(source),
                            arena.allocateFrom(name),
                            headers.size(),
                            texts,
                            names));
            MemorySegment program = handle.get(ADDRESS, 0);
            try {
                int result = call(compile, program, options.size(), strings(arena, options));
                if (result != SUCCESS) {
                    throw failure(name, options, result, text(arena, program));
                }
                return bytes(arena, program, "nvrtcGetCUBIN");
            } finally {
                call(destroy, handle);
            }
        }
    }

    /** NVRTC itself would load it by its bare name, which fails when it was not found by the system's loader. */
    private void preloadBuiltins() {
        Optional<Path> folder = library.file().map(Path::toAbsolutePath).map(Path::getParent);
        if (folder.isEmpty()) {
            return;
        }
        String pattern = "libnvrtc-builtins.so." + major + "*";
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder.get(), pattern)) {
            for (Path file : files) {
                NativeLibrary.find(file.toString());
            }
        } catch (IOException e) {
            // The compiler then says itself that it did not find them.
        }
    }

    private KernelException failure(String name, List<String> options, int result, String log) {
        String what = result == BUILTIN_OPERATION_FAILURE
                ? " could not load its builtins (libnvrtc-builtins.so); keep them beside " + library.name() + ": "
                : " refused it (error " + result + "):\n";
        return new KernelException("kernel " + name + " could not be compiled with " + String.join(" ", options) + "; "
                + version() + what + log);
    }

    private String text(Arena arena, MemorySegment program) {
        byte[] bytes = bytes(arena, program, "nvrtcGetProgramLog");
        // It ends with a zero byte.
        return new String(bytes, 0, Math.max(0, bytes.length - 1), StandardCharsets.UTF_8).strip();
    }

    private byte[] bytes(Arena arena, MemorySegment program, String getter) {
        MemorySegment size = arena.allocate(JAVA_LONG);
        check(getter + "Size", call(handle(getter + "Size"), program, size));
        MemorySegment bytes = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)), 16);
        check(getter, call(handle(getter), program, bytes));
        return bytes.asSlice(0, size.get(JAVA_LONG, 0)).toArray(JAVA_BYTE);
    }

    private MethodHandle handle(String getter) {
        MethodHandle handle = getters.get(getter);
        if (handle == null) {
            throw new IllegalArgumentException(getter);
        }
        return handle;
    }

    private static MemorySegment strings(Arena arena, List<String> strings) {
        if (strings.isEmpty()) {
            return MemorySegment.NULL;
        }
        MemorySegment array = arena.allocate(ADDRESS, strings.size());
        for (int i = 0; i < strings.size(); i++) {
            array.setAtIndex(ValueLayout.ADDRESS, i, arena.allocateFrom(strings.get(i)));
        }
        return array;
    }

    private static int call(MethodHandle function, Object... arguments) {
        try {
            return (int) function.invokeWithArguments(arguments);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    private static void check(String function, int result) {
        if (result != SUCCESS) {
            throw new KernelException(function + " failed with error " + result);
        }
    }
}

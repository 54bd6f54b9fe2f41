package org.duoattention.backend.cuda.library;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * A shared library of CUDA that was found on this machine. It stays loaded as long as the process: NVIDIA's libraries
 * start threads and register handlers that must not outlive their code. Safe to share.
 */
public final class NativeLibrary {
    private final String name;
    private final Optional<Path> file;
    private final SymbolLookup symbols;

    private NativeLibrary(String name, Optional<Path> file, SymbolLookup symbols) {
        this.name = name;
        this.file = file;
        this.symbols = symbols;
    }

    /**
     * The first of some libraries that can be loaded: each name is looked for in {@link LibraryFolders}, then where the
     * system's loader looks.
     *
     * @param names file names in order of preference, for example {@code libnvrtc.so.13}, or paths
     */
    public static Optional<NativeLibrary> find(String... names) {
        return find(LibraryFolders.ofThisMachine(), names);
    }

    /**
     * A library that the system's loader finds, such as the driver, or one at a path.
     *
     * @throws IllegalCallerException when native access is not enabled
     */
    public static Optional<NativeLibrary> ofSystem(String library) {
        return find(List.of(), library);
    }

    static Optional<NativeLibrary> find(List<Path> folders, String... names) {
        for (String name : names) {
            for (Path folder : folders) {
                Path file = folder.resolve(name);
                Optional<SymbolLookup> symbols = Files.exists(file) ? load(file.toString()) : Optional.empty();
                if (symbols.isPresent()) {
                    return Optional.of(new NativeLibrary(name, Optional.of(file), symbols.get()));
                }
            }
            Optional<SymbolLookup> symbols = load(name);
            if (symbols.isPresent()) {
                return Optional.of(new NativeLibrary(name, Optional.empty(), symbols.get()));
            }
        }
        return Optional.empty();
    }

    /** Loads by name or path; a library of the same soname that is loaded already serves every later one that needs it. */
    private static Optional<SymbolLookup> load(String library) {
        try {
            return Optional.of(SymbolLookup.libraryLookup(library, Arena.global()));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    /** The name under which it was found. */
    public String name() {
        return name;
    }

    /** Its file; empty when the system's loader found it. */
    public Optional<Path> file() {
        return file;
    }

    /** Whether it has all of some functions. */
    public boolean hasAll(List<String> functions) {
        return missing(functions).isEmpty();
    }

    /** Those of some functions that it lacks. */
    public List<String> missing(List<String> functions) {
        return functions.stream()
                .filter(function -> symbols.find(function).isEmpty())
                .toList();
    }

    /**
     * A function.
     *
     * @throws IllegalStateException when the library has none of that name
     */
    public MethodHandle function(String function, FunctionDescriptor type) {
        return Linker.nativeLinker()
                .downcallHandle(
                        symbols.find(function)
                                .orElseThrow(() -> new IllegalStateException(
                                        (file.isPresent() ? file.get() : name) + " has no function " + function)),
                        type);
    }
}

package org.duoattention.backend.cuda.blas;

import java.util.List;
import java.util.Optional;
import org.bytedeco.javacpp.Pointer;
import org.duoattention.backend.cuda.library.NativeLibrary;

/**
 * Makes NVIDIA's libraries ready for their JavaCPP bindings. These bind functions lazily, and calling one that the library
 * lacks ends the process; so libraries are loaded here first, from wherever they were found, and asked for what will be
 * called. The dynamic linker then takes them for the bindings too, because their sonames are the same.
 */
public final class Bindings {
    private Bindings() {}

    /**
     * Loads libraries in the order of their dependencies.
     *
     * @param sonames the libraries, the last one being that whose functions are called
     * @param functions what is called of it
     * @return why they cannot be used, if so
     */
    public static Optional<String> problem(List<String> sonames, List<String> functions) {
        Optional<NativeLibrary> library = Optional.empty();
        for (String soname : sonames) {
            library = NativeLibrary.find(soname);
            if (library.isEmpty()) {
                return Optional.of(soname + " was not found; add its folder to LD_LIBRARY_PATH");
            }
        }
        List<String> missing = library.map(last -> last.missing(functions)).orElse(functions);
        return missing.isEmpty()
                ? Optional.empty()
                : Optional.of(sonames.getLast() + " has no function " + String.join(", ", missing));
    }

    /**
     * To be called before any class of JavaCPP is used. It counts pages of mapped checkpoints as its own memory and refuses
     * to allocate when there are many; and it would start a thread to free what is closed here explicitly.
     */
    public static void configure() {
        setDefault("org.bytedeco.javacpp.maxPhysicalBytes", "0");
        setDefault("org.bytedeco.javacpp.noPointerGC", "true");
    }

    private static void setDefault(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }

    /** An address that was got elsewhere, as JavaCPP wants it. It owns nothing. */
    public static Pointer at(long address) {
        return new Address(address);
    }

    private static final class Address extends Pointer {
        Address(long address) {
            super((Pointer) null);
            this.address = address;
        }
    }
}

package org.duoattention.backend.cuda.kernel;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where kernels come from, in this order: the folder in the system property {@code duo.cuda.kernels}, which then has to hold
 * {@code NAME.cubin} for each; the jar, where the build compiled them; a cache on disk; NVRTC, whose work the cache keeps.
 *
 * <p>A cubin runs on devices of its own major compute capability whose minor one is not lower, and one for {@code sm_90a} on
 * compute capability 9.0 only (CUDA C++ Programming Guide, binary compatibility). A driver of CUDA N runs what compilers
 * of CUDA N or older made (CUDA Compatibility, minor version compatibility); so for an older driver than the jar's compiler
 * kernels are made by an NVRTC of the driver's own major version.
 */
public final class StandardKernelImages implements KernelImages {
    private static final Pattern INCLUDE = Pattern.compile("#include \"(\\w+\\.cuh)\"");
    private static final Pattern ARCH = Pattern.compile("sm_(\\d+)(\\d)");

    private final Optional<KernelImages> directory;
    private final Resources resources;
    private final ImageCache cache;
    private final Supplier<Optional<Nvrtc>> compiler;
    private final int driver;

    /** Files beside this class, in the jar. */
    interface Resources {
        Optional<byte[]> read(String name);
    }

    StandardKernelImages(
            Optional<KernelImages> directory,
            Resources resources,
            ImageCache cache,
            Supplier<Optional<Nvrtc>> compiler,
            int driverVersion) {
        this.directory = directory;
        this.resources = resources;
        this.cache = cache;
        this.compiler = compiler;
        this.driver = driverVersion / 1000;
    }

    /**
     * The kernels of this installation.
     *
     * @param driverVersion the version of CUDA that the driver supports, as the driver says it: 13000 for 13.0
     */
    public static StandardKernelImages of(int driverVersion) {
        return new StandardKernelImages(
                Optional.ofNullable(System.getProperty(DirectoryImages.PROPERTY))
                        .map(folder -> new DirectoryImages(Path.of(folder))),
                StandardKernelImages::resource,
                ImageCache.ofThisUser(),
                Nvrtc::find,
                driverVersion);
    }

    private static Optional<byte[]> resource(String name) {
        try (InputStream in = StandardKernelImages.class.getResourceAsStream(name)) {
            return in == null ? Optional.empty() : Optional.of(in.readAllBytes());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public byte[] image(String source, String arch) {
        if (directory.isPresent()) {
            return directory.get().image(source, arch);
        }
        if (hasCubins(arch)) {
            for (String candidate : candidates(arch)) {
                Optional<byte[]> cubin = resources.read("cubin/" + candidate + "/" + source + ".cubin");
                if (cubin.isPresent()) {
                    return cubin.get();
                }
            }
        }
        return compiled(source, arch);
    }

    /** Why there can be no kernels for an architecture, if so; cheap, and compiles nothing. */
    public Optional<String> problem(String arch) {
        if (directory.isPresent() || hasCubins(arch)) {
            return Optional.empty();
        }
        Optional<Nvrtc> found = compiler.get();
        if (found.isEmpty()) {
            return Optional.of(noImage(arch)
                    + ", and NVRTC (libnvrtc.so.13 or .12) was not found; add its folder to LD_LIBRARY_PATH"
                    + " or name the file by -Dduo.cuda.nvrtc=FILE");
        }
        return found.get().major() <= driver
                ? Optional.empty()
                : Optional.of(noImage(arch) + ", and what " + found.get().version()
                        + " makes needs a newer driver; update the" + " driver, or add an NVRTC of CUDA " + driver
                        + " to LD_LIBRARY_PATH");
    }

    private String noImage(String arch) {
        Optional<String> made = madeBy();
        if (made.isEmpty()) {
            return "no kernels were compiled when duo was built";
        }
        return major(made.get()) > driver
                ? "the kernels in the jar need a driver for CUDA " + major(made.get()) + ".0 or newer"
                : "the jar has no kernels for " + arch;
    }

    /** The release of CUDA whose nvcc compiled the cubins in the jar. */
    private Optional<String> madeBy() {
        return resources.read("cubin/compiler.txt").map(bytes -> new String(bytes, StandardCharsets.UTF_8).strip());
    }

    private boolean hasCubins(String arch) {
        return !candidates(arch).isEmpty()
                && madeBy().map(StandardKernelImages::major).orElse(driver + 1) <= driver;
    }

    private static int major(String release) {
        String digits = release.split("\\.", 2)[0];
        // A compiler that did not say what it is may be of any release.
        return digits.chars().allMatch(Character::isDigit) && !digits.isEmpty()
                ? Integer.parseInt(digits)
                : Integer.MAX_VALUE;
    }

    /** Architectures that the build compiles for and a device can run, the best first. */
    private static List<String> candidates(String arch) {
        Matcher matcher = ARCH.matcher(arch);
        List<String> candidates = new ArrayList<>();
        if (matcher.matches()) {
            if (matcher.group(1).equals("9")) {
                candidates.addAll(matcher.group(2).equals("0") ? List.of("sm_90a", "sm_90") : List.of("sm_90"));
            } else if (matcher.group(1).equals("8")) {
                candidates.add("sm_80");
            }
        }
        return candidates;
    }

    private byte[] compiled(String source, String arch) {
        Optional<String> problem = problem(arch);
        if (problem.isPresent()) {
            throw new KernelException("kernel " + source + ": " + problem.get());
        }
        Nvrtc nvrtc = compiler.get()
                .orElseThrow(() -> new KernelException("kernel " + source + ": the jar has no cubin of it" + " for "
                        + arch + ", and NVRTC was not found"));
        String text = text("source/" + source + ".cu");
        SortedMap<String, String> headers = new TreeMap<>();
        collectHeaders(text, headers);
        List<String> candidates = candidates(arch);
        String target = candidates.isEmpty() || !candidates.getFirst().endsWith("a") ? arch : candidates.getFirst();
        List<String> options = List.of("--gpu-architecture=" + target, "--std=c++17");
        String key = ImageCache.key(
                source, target, List.of(text, headers.toString(), nvrtc.version(), String.join(" ", options)));
        Optional<byte[]> kept = cache.read(key);
        if (kept.isPresent()) {
            return kept.get();
        }
        byte[] image = nvrtc.compile(source + ".cu", text, headers, options);
        cache.write(key, image);
        return image;
    }

    /** The texts of the headers that a text includes, and of those that they include. */
    private void collectHeaders(String text, Map<String, String> headers) {
        Matcher matcher = INCLUDE.matcher(text);
        while (matcher.find()) {
            String name = matcher.group(1);
            if (!headers.containsKey(name)) {
                String header = text("source/" + name);
                headers.put(name, header);
                collectHeaders(header, headers);
            }
        }
    }

    private String text(String name) {
        return new String(
                resources
                        .read(name)
                        .orElseThrow(() -> new KernelException("the jar has no " + name + "; is it whole?")),
                StandardCharsets.UTF_8);
    }
}

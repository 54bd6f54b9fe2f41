package org.duoattention.backend.cuda;

import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.duoattention.backend.cuda.driver.Context;
import org.duoattention.backend.cuda.kernel.KernelImages;

/** The kernels of one device, loaded when they are first used. Thread-safe. */
final class Kernels {
    private final Context context;
    private final KernelImages images;
    private final Map<String, Long> modules = new ConcurrentHashMap<>();
    private final Map<String, Kernel> kernels = new ConcurrentHashMap<>();

    Kernels(Context context, KernelImages images) {
        this.context = context;
        this.images = images;
    }

    /**
     * A kernel.
     *
     * @param source name of the file in {@code src/main/cuda}, without {@code .cu}
     * @param name name of the entry point in it
     */
    Kernel get(String source, String name) {
        Kernel kernel = kernels.get(name);
        if (kernel == null) {
            // Not inside computeIfAbsent: loading a module changes the other map and may take a while.
            long module = modules.computeIfAbsent(
                    source,
                    key -> context.loadModule(images.image(key, context.info().arch())));
            kernel = kernels.computeIfAbsent(
                    name, key -> new Kernel(context.driver(), source + "." + key, context.function(module, key)));
        }
        return kernel;
    }

    /** The entry points that have been used. */
    Set<String> names() {
        return Set.copyOf(kernels.keySet());
    }

    /** Unloads everything; nothing runs by then. */
    void close() {
        modules.values().forEach(context::unloadModule);
        modules.clear();
        kernels.clear();
    }
}

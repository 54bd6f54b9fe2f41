package org.duoattention.backend.cuda.library;

import java.io.File;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Where CUDA's libraries may lie: the folders of the system property {@code duo.cuda.libraries}, those of {@code
 * LD_LIBRARY_PATH}, a Python environment ({@code VIRTUAL_ENV}, {@code CONDA_PREFIX}), and the toolkit ({@code CUDA_HOME},
 * {@code CUDA_PATH}, {@code /usr/local/cuda}). Below each folder that has it, {@code nvidia/*}{@code /lib}, the layout of
 * NVIDIA's Python packages, is looked at too.
 */
final class LibraryFolders {
    private LibraryFolders() {}

    static List<Path> ofThisMachine() {
        return of(System.getProperty("duo.cuda.libraries"), System.getenv());
    }

    static List<Path> of(@Nullable String chosen, Map<String, String> environment) {
        Set<Path> folders = new LinkedHashSet<>();
        addAll(folders, chosen);
        addAll(folders, environment.get("LD_LIBRARY_PATH"));
        for (String variable : List.of("VIRTUAL_ENV", "CONDA_PREFIX")) {
            for (Path root : roots(environment.get(variable))) {
                add(folders, root.resolve("lib"));
                matching(root.resolve("lib"), "python3*")
                        .forEach(python -> add(folders, python.resolve("site-packages")));
            }
        }
        List<Path> toolkits = new ArrayList<>();
        toolkits.addAll(roots(environment.get("CUDA_HOME")));
        toolkits.addAll(roots(environment.get("CUDA_PATH")));
        toolkits.add(Path.of("/usr/local/cuda"));
        for (Path toolkit : toolkits) {
            add(folders, toolkit.resolve("lib64"));
            add(folders, toolkit.resolve("targets/x86_64-linux/lib"));
        }
        return List.copyOf(folders);
    }

    private static void addAll(Set<Path> folders, @Nullable String list) {
        roots(list).forEach(folder -> add(folders, folder));
    }

    private static void add(Set<Path> folders, Path folder) {
        if (Files.isDirectory(folder)) {
            folders.add(folder);
            for (Path part : matching(folder.resolve("nvidia"), "*")) {
                if (Files.isDirectory(part.resolve("lib"))) {
                    folders.add(part.resolve("lib"));
                }
            }
        }
    }

    private static List<Path> roots(@Nullable String list) {
        List<Path> paths = new ArrayList<>();
        for (String path : list == null ? new String[0] : list.split(File.pathSeparator)) {
            try {
                if (!path.isBlank()) {
                    paths.add(Path.of(path));
                }
            } catch (InvalidPathException e) {
                // An entry that is no path holds no library.
            }
        }
        return paths;
    }

    private static List<Path> matching(Path folder, String pattern) {
        List<Path> found = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, pattern)) {
                entries.forEach(found::add);
            } catch (IOException e) {
                // A folder that cannot be read holds no library that could be loaded.
            }
        }
        found.sort(null);
        return found;
    }
}

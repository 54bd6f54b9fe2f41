package org.duoattention.core;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * Fills a directory beside its final place and renames it when it is complete, so that nobody ever sees half of one.
 */
public final class NewDirectory {
    /**
     * What is written into the directory.
     *
     * @param <E> what else may end the writing
     */
    @FunctionalInterface
    public interface Content<E extends Exception> {
        /** Writes all files. */
        void writeTo(Path directory) throws IOException, E;
    }

    private NewDirectory() {}

    /**
     * Creates the directory with its content.
     *
     * @param target an empty directory or a path where nothing exists yet; missing parents are created
     * @throws DuoException when the target has content or cannot be written
     * @throws E when the content throws it; nothing is left then
     */
    public static <E extends Exception> void create(Path target, Content<E> content) throws E {
        Path place = target.toAbsolutePath().normalize();
        try {
            checkFree(target, place);
            Path parent = place.getParent();
            if (parent == null) {
                throw new DuoException(target + " is the root of a file system; name a new directory in it.");
            }
            Files.createDirectories(parent);
            Path draft = Files.createTempDirectory(parent, "." + place.getFileName() + ".");
            try {
                content.writeTo(draft);
                draft.toFile().setReadable(true, false);
                draft.toFile().setExecutable(true, false);
                Files.deleteIfExists(place);
                Files.move(draft, place, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                delete(draft);
            }
        } catch (IOException e) {
            throw new DuoException(
                    target + " cannot be written (" + e + "); name a directory in a place that is writable.", e);
        }
    }

    private static void checkFree(Path target, Path place) throws IOException {
        if (Files.isDirectory(place)) {
            try (Stream<Path> entries = Files.list(place)) {
                if (entries.findAny().isPresent()) {
                    throw new DuoException(target + " exists and is not empty; name a new or an empty directory.");
                }
            }
        } else if (Files.exists(place)) {
            throw new DuoException(target + " is a file; name a new or an empty directory.");
        }
    }

    private static void delete(Path draft) throws IOException {
        if (!Files.exists(draft)) {
            return;
        }
        List<Path> deepestFirst;
        try (Stream<Path> paths = Files.walk(draft)) {
            deepestFirst = paths.sorted(Comparator.reverseOrder()).toList();
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        for (Path path : deepestFirst) {
            Files.delete(path);
        }
    }
}

package org.duoattention.examples.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;
import org.duoattention.core.DuoException;

/** Writes files whole or not at all, and finds out before the work whether they can be written. */
final class Outputs {
    private Outputs() {}

    /** Refuses a file that could not be written later; leaves nothing behind. */
    static void checkFile(Path file, String option) {
        if (Files.isDirectory(file)) {
            throw new DuoException(option + " " + file + " is a directory; give a file");
        }
        if (Files.exists(file) && !Files.isWritable(file)) {
            throw new DuoException(option + " " + file + " is not writable; choose another file");
        }
        if (isSpecial(file)) {
            return;
        }
        Path parent = file.toAbsolutePath().getParent();
        if (parent == null || !Files.isDirectory(parent)) {
            throw new DuoException(
                    option + " " + file + " cannot be written: " + parent + " is not a directory; make it first");
        }
        probe(parent, option, file);
    }

    /** Refuses a directory that could not be made or written to later; leaves nothing behind. */
    static void checkDirectory(Path directory, String option) {
        Path existing = directory.toAbsolutePath().normalize();
        while (existing != null && !Files.exists(existing)) {
            existing = existing.getParent();
        }
        if (existing == null || !Files.isDirectory(existing)) {
            throw new DuoException(option + " " + directory + " cannot be used: " + existing + " is not a directory");
        }
        probe(existing, option, directory);
    }

    /** Writes a file by way of a neighbour that is then moved into place. Makes the directories above it. */
    static void write(Path file, byte[] content, String option) {
        try {
            if (isSpecial(file)) {
                Files.write(file, content, StandardOpenOption.WRITE);
                return;
            }
            Path target = Files.exists(file) ? file.toRealPath() : file.toAbsolutePath();
            Path part = target.resolveSibling(partName());
            Files.createDirectories(part.resolveSibling("."));
            try {
                try (OutputStream out = Files.newOutputStream(part, StandardOpenOption.CREATE_NEW)) {
                    out.write(content);
                }
                Files.move(part, target, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(part);
            }
        } catch (IOException e) {
            throw new DuoException(option + " " + file + " cannot be written: " + reason(e), e);
        }
    }

    private static void probe(Path directory, String option, Path wanted) {
        Path part = directory.resolve(partName());
        try {
            Files.newOutputStream(part, StandardOpenOption.CREATE_NEW).close();
            Files.delete(part);
        } catch (IOException e) {
            throw new DuoException(option + " " + wanted + " cannot be written: " + reason(e), e);
        }
    }

    /** Devices and pipes are written to, not replaced. */
    private static boolean isSpecial(Path file) {
        return Files.exists(file) && !Files.isRegularFile(file) && !Files.isDirectory(file);
    }

    private static String partName() {
        return ".duo-" + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".part";
    }

    private static String reason(IOException e) {
        // What the file system says of a path is the path alone; only the exception's name tells what is wrong with it.
        return e instanceof FileSystemException
                ? e.getClass().getSimpleName().replace("Exception", "") + " " + e.getMessage()
                : String.valueOf(e.getMessage());
    }
}

package org.duoattention.backend.cuda.kernel;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * Compiled kernels on disk, under names that say what they were made of. Several processes may use one folder: a file
 * appears whole or not at all. A folder that cannot be written to only costs compiling again.
 */
final class ImageCache {
    private static final String PROPERTY = "duo.cuda.cache";

    private final Path folder;

    ImageCache(Path folder) {
        this.folder = folder;
    }

    /** The folder of the system property {@code duo.cuda.cache}, otherwise {@code ~/.cache/duo/kernels}. */
    static ImageCache ofThisUser() {
        String chosen = System.getProperty(PROPERTY);
        return new ImageCache(
                chosen != null
                        ? Path.of(chosen)
                        : Path.of(System.getProperty("user.home"), ".cache", "duo", "kernels"));
    }

    /** A name for what the parts make together. */
    static String key(String name, String arch, List<String> parts) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (String part : parts) {
                digest.update(part.getBytes(StandardCharsets.UTF_8));
                digest.update((byte) 0);
            }
            return name + "-" + arch + "-" + HexFormat.of().formatHex(digest.digest(), 0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    Optional<byte[]> read(String key) {
        Path file = file(key);
        try {
            return Files.exists(file) ? Optional.of(Files.readAllBytes(file)) : Optional.empty();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    void write(String key, byte[] image) {
        try {
            Files.createDirectories(folder);
            Path unfinished = Files.createTempFile(folder, key, ".tmp");
            try {
                Files.write(unfinished, image);
                Files.move(unfinished, file(key), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } finally {
                Files.deleteIfExists(unfinished);
            }
        } catch (IOException e) {
            // Read-only homes exist; the kernel is compiled again next time.
        }
    }

    private Path file(String key) {
        return folder.resolve(key + ".cubin");
    }
}

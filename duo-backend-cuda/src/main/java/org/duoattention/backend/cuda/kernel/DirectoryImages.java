package org.duoattention.backend.cuda.kernel;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Images from a directory that the system property {@code duo.cuda.kernels} names: files {@code NAME.cubin}. */
public final class DirectoryImages implements KernelImages {
    /** The system property. */
    public static final String PROPERTY = "duo.cuda.kernels";

    private final Path directory;

    /** The images in a directory, whatever architecture they are for. */
    public DirectoryImages(Path directory) {
        this.directory = directory;
    }

    @Override
    public byte[] image(String source, String arch) {
        Path file = directory.resolve(source + ".cubin");
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new IllegalStateException(
                    "the kernels " + source + " for " + arch + " cannot be read from " + file + ", which " + PROPERTY
                            + " points to; compile them there, or remove the property",
                    e);
        }
    }
}

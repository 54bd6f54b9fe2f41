package org.duoattention.identify.text;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.duoattention.core.DuoException;

/** Reads UTF-8 files that a user names, whole and of bounded size. */
public final class Utf8File {
    private static final int MAX_BYTES = 256 << 20;

    private Utf8File() {}

    /** The text of a file of at most 256 MiB; {@link #read(String, Path, int)}. */
    public static String read(String named, Path file) {
        return read(named, file, MAX_BYTES);
    }

    /**
     * The file's text.
     *
     * @param named what the file is to the user, such as the option that names it, for messages
     * @param maxBytes the most that is read
     * @throws DuoException naming the file when it cannot be read, is too large or is not UTF-8
     */
    public static String read(String named, Path file, int maxBytes) {
        String subject = named + " " + file;
        if (Files.isDirectory(file)) {
            throw new DuoException(subject + " is a directory; give a UTF-8 text file");
        }
        byte[] bytes;
        try (InputStream in = Files.newInputStream(file)) {
            bytes = in.readNBytes(maxBytes + 1);
        } catch (NoSuchFileException e) {
            throw new DuoException(subject + " does not exist", e);
        } catch (IOException e) {
            throw new DuoException(subject + " cannot be read: " + e.getMessage(), e);
        }
        if (bytes.length > maxBytes) {
            throw new DuoException(
                    subject + " is larger than the " + maxBytes + " bytes that are read; give a part of it");
        }
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new DuoException(subject + " is not UTF-8 text; convert it first", e);
        }
    }
}

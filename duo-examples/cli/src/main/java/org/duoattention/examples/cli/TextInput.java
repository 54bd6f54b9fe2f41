package org.duoattention.examples.cli;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.duoattention.core.DuoException;

/** Reads UTF-8 files that the user names, whole and of bounded size. */
final class TextInput {
    private static final int MAX_BYTES = 256 << 20;

    private TextInput() {}

    /**
     * The file's text.
     *
     * @throws DuoException naming option and file when it cannot be read, is too large or is not UTF-8
     */
    static String read(Path file, String option) {
        if (Files.isDirectory(file)) {
            throw new DuoException(option + " " + file + " is a directory; give a file");
        }
        byte[] bytes;
        try (InputStream in = Files.newInputStream(file)) {
            bytes = in.readNBytes(MAX_BYTES + 1);
        } catch (NoSuchFileException e) {
            throw new DuoException(option + " " + file + " does not exist", e);
        } catch (IOException e) {
            throw new DuoException(option + " " + file + " cannot be read: " + e.getMessage(), e);
        }
        if (bytes.length > MAX_BYTES) {
            throw new DuoException(option + " " + file + " is larger than the " + MAX_BYTES + " bytes that are read");
        }
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new DuoException(option + " " + file + " is not UTF-8 text; convert it first", e);
        }
    }
}

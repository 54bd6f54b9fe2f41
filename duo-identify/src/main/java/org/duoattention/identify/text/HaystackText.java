package org.duoattention.identify.text;

import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * Filler text in which a needle is hidden. Safe to share between threads.
 *
 * <p>Paragraphs come one by one as lists of sentences, so that a context of a million tokens is built in linear time and
 * without a second copy of the text.
 */
public interface HaystackText {
    /** What the text is, for reports: a file's path or the name of the generator. */
    String name();

    /**
     * Paragraphs without end. Equal starts give equal paragraphs; different starts give different text, or the same text
     * from another place.
     *
     * @param start which of the many places to begin at
     * @return an iterator that never runs out; each paragraph has at least one sentence, and no sentence is blank, holds
     *     a line break, or begins or ends with white space
     */
    Iterator<List<String>> paragraphs(long start);

    /** After how many paragraphs the text begins again; empty when it never does. */
    default OptionalInt distinctParagraphs() {
        return OptionalInt.empty();
    }

    /** The text of a file, or {@link #generated} text when there is none; {@link #ofFile} says what is refused. */
    static HaystackText of(@Nullable Path file, long seed) {
        return file == null ? generated(seed) : ofFile(file);
    }

    /** Plain English sentences of the project's own making, as many as are wanted. */
    static HaystackText generated(long seed) {
        return new GeneratedText(seed);
    }

    /**
     * The text of a UTF-8 file, read whole; begun again from its start when more is wanted than it has.
     *
     * @throws org.duoattention.core.DuoException when the file cannot be read, is too large, is not UTF-8 or has no text
     */
    static HaystackText ofFile(Path file) {
        return TextFile.read(file);
    }
}

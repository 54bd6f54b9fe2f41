package org.duoattention.identify.text;

import java.nio.file.Path;
import java.text.BreakIterator;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.regex.Pattern;
import org.duoattention.core.DuoException;

/**
 * A text file as paragraphs of sentences. Blank lines part paragraphs, or every line break where there are no blank
 * lines; white space is folded to single spaces.
 */
final class TextFile implements HaystackText {
    /** More than ten million tokens of English; the whole text is held in memory. */
    static final int MAX_BYTES = 64 << 20;

    /** Longer sentences are cut, so that a needle can be placed anywhere in text without full stops. */
    static final int MAX_SENTENCE = 400;

    private static final Pattern BLANK_LINE = Pattern.compile("(?>\\R)\\h*\\R\\s*");
    private static final Pattern LINE = Pattern.compile("\\R");
    private static final Pattern SPACE = Pattern.compile("[\\s\\h\\v\\p{Cntrl}\\x{FEFF}]+");

    private final String name;
    private final List<List<String>> paragraphs;

    private TextFile(String name, List<List<String>> paragraphs) {
        this.name = name;
        this.paragraphs = paragraphs;
    }

    static TextFile read(Path file) {
        List<List<String>> paragraphs = split(Utf8File.read("haystack file", file, MAX_BYTES));
        if (paragraphs.isEmpty()) {
            throw new DuoException("haystack file " + file + " holds no text");
        }
        return new TextFile(file.toString(), paragraphs);
    }

    private static List<List<String>> split(String text) {
        String body = text.strip();
        Pattern separator = BLANK_LINE.matcher(body).find() ? BLANK_LINE : LINE;
        List<List<String>> paragraphs = new ArrayList<>();
        BreakIterator sentences = BreakIterator.getSentenceInstance(Locale.ROOT);
        for (String paragraph : separator.split(body)) {
            String folded = SPACE.matcher(paragraph).replaceAll(" ").strip();
            if (!folded.isEmpty()) {
                paragraphs.add(sentences(folded, sentences));
            }
        }
        return paragraphs;
    }

    private static List<String> sentences(String paragraph, BreakIterator boundaries) {
        List<String> sentences = new ArrayList<>();
        boundaries.setText(paragraph);
        int start = boundaries.first();
        for (int end = boundaries.next(); end != BreakIterator.DONE; start = end, end = boundaries.next()) {
            addCut(sentences, paragraph.substring(start, end).strip());
        }
        return sentences;
    }

    private static void addCut(List<String> sentences, String sentence) {
        String rest = sentence;
        while (rest.length() > MAX_SENTENCE) {
            int space = rest.lastIndexOf(' ', MAX_SENTENCE);
            int cut = space > 0 ? space : rest.offsetByCodePoints(0, rest.codePointCount(0, MAX_SENTENCE) - 1);
            sentences.add(rest.substring(0, cut));
            rest = rest.substring(cut).strip();
        }
        if (!rest.isEmpty()) {
            sentences.add(rest);
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public OptionalInt distinctParagraphs() {
        return OptionalInt.of(paragraphs.size());
    }

    @Override
    public Iterator<List<String>> paragraphs(long start) {
        return new Iterator<>() {
            private int next = start == 0 ? 0 : Seeds.random(start).nextInt(paragraphs.size());

            @Override
            public boolean hasNext() {
                return true;
            }

            @Override
            public List<String> next() {
                List<String> paragraph = paragraphs.get(next);
                next = (next + 1) % paragraphs.size();
                return paragraph;
            }
        };
    }
}

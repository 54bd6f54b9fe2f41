package org.duoattention.identify.constructed;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.duoattention.identify.task.PasskeyWording;
import org.duoattention.identify.text.HaystackText;

/**
 * Tokens and merges: all 256 bytes, so that any text can be encoded, and a few hundred whole words.
 *
 * <p>A word is merged letter by letter from its left end, so the beginnings of words are tokens too, and every pretoken
 * is split into the longest beginning that is known and bytes. Merges that begin with a space come first: otherwise the
 * space of " The" would find its "The" merged already.
 */
final class ConstructedVocabulary {
    /** What comes between the ordinal and the words of a passkey; one token, so that no other colon is taken for it. */
    static final String MARKER = " passkey is:";

    static final String BOS = "<|begin_of_text|>";
    static final String EOS = "<|end_of_text|>";

    /** What the model says when it has found nothing. */
    static final String NOTHING = " unknown";

    private static final int HAYSTACK_WORDS = 256;
    private static final int HAYSTACK_PARAGRAPHS = 500;
    private static final Pattern SPACED_WORD = Pattern.compile(" [a-z]+");
    private static final char SPACE = byteLevel((byte) ' ');

    private final Map<String, Integer> pieces = new LinkedHashMap<>();
    private final List<String> merges = new ArrayList<>();

    ConstructedVocabulary() {
        for (int i = 0; i < 256; i++) {
            pieces.put(String.valueOf(byteLevel((byte) i)), i);
        }
        Set<String> words = new LinkedHashSet<>();
        PasskeyWording.WORDS.forEach(word -> words.add(" " + word));
        PasskeyWording.ORDINALS.forEach(word -> words.add(" " + word));
        words.addAll(List.of(NOTHING, " passkey", " is", " the", " The"));
        words.addAll(frequentWords());
        words.addAll(List.of("The", "What"));
        words.forEach(this::addWord);
    }

    /** Byte-level pieces and their ids, in the order of ids. */
    Map<String, Integer> pieces() {
        return pieces;
    }

    /** Merges, most important first, each two pieces with a space between. */
    List<String> merges() {
        return merges;
    }

    int marker() {
        return pieces.size();
    }

    int bos() {
        return pieces.size() + 1;
    }

    int eos() {
        return pieces.size() + 2;
    }

    int size() {
        return pieces.size() + 3;
    }

    /** The id of a text that is one piece. */
    int id(String text) {
        Integer id = pieces.get(text.replace(' ', SPACE).replace('\n', byteLevel((byte) '\n')));
        if (id == null) {
            throw new IllegalArgumentException("not a piece: " + text);
        }
        return id;
    }

    private void addWord(String word) {
        String piece = word.replace(' ', SPACE);
        for (int end = 2; end <= piece.length(); end++) {
            String merged = piece.substring(0, end);
            if (pieces.putIfAbsent(merged, pieces.size()) == null) {
                merges.add(piece.substring(0, end - 1) + " " + piece.charAt(end - 1));
            }
        }
    }

    /** The words that the generated haystack uses most, so that its tokens are words rather than letters. */
    private static List<String> frequentWords() {
        Map<String, Integer> counts = new TreeMap<>();
        Iterator<List<String>> paragraphs = HaystackText.generated(0).paragraphs(0);
        for (int i = 0; i < HAYSTACK_PARAGRAPHS; i++) {
            for (String sentence : paragraphs.next()) {
                Matcher matcher = SPACED_WORD.matcher(sentence);
                while (matcher.find()) {
                    counts.merge(matcher.group(), 1, Integer::sum);
                }
            }
        }
        return counts.entrySet().stream()
                .sorted(Map.Entry.comparingByValue(Comparator.reverseOrder()))
                .limit(HAYSTACK_WORDS)
                .map(Map.Entry::getKey)
                .toList();
    }

    /**
     * The printable stand-in for a byte that byte-level BPE uses (GPT-2): printable Latin-1 stays, the rest counts from
     * 256.
     */
    private static char byteLevel(byte value) {
        int code = value & 0xFF;
        if (printable(code)) {
            return (char) code;
        }
        int rank = 0;
        for (int i = 0; i < code; i++) {
            rank += printable(i) ? 0 : 1;
        }
        return (char) (256 + rank);
    }

    private static boolean printable(int code) {
        return code >= '!' && code <= '~' || code >= 0xA1 && code <= 0xAC || code >= 0xAE;
    }
}

package org.duoattention.examples.cli.bench;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Tokens that are prefilled.
 *
 * @param from tokens that are in the cache before; at least 0
 * @param tokens tokens that are fed; at least 1
 */
public record Span(int from, int tokens) {
    private static final Pattern FORM = Pattern.compile("(?:(\\d{1,9})\\+)?(\\d{1,9})");
    private static final int MAX_DEPTH = 1 << 30;

    /** Reads {@code 512} (from an empty cache) or {@code 16384+16384}; empty for anything else. */
    public static Optional<Span> parse(String text) {
        Matcher form = FORM.matcher(text.strip());
        if (!form.matches()) {
            return Optional.empty();
        }
        int from = form.group(1) == null ? 0 : Integer.parseInt(form.group(1));
        int tokens = Integer.parseInt(form.group(2));
        return tokens < 1 || tokens > MAX_DEPTH || from > MAX_DEPTH - tokens
                ? Optional.empty()
                : Optional.of(new Span(from, tokens));
    }

    /** Tokens in the cache at the end. */
    public int end() {
        return from + tokens;
    }
}

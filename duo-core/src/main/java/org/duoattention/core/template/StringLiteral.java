package org.duoattention.core.template;

/**
 * A quoted string of the template with its escapes resolved as Python does; an unknown escape keeps its backslash.
 *
 * @param end index behind the closing quote, -1 if there is none
 */
record StringLiteral(String value, int end) {
    static StringLiteral read(String source, int start) {
        char quote = source.charAt(start);
        StringBuilder value = new StringBuilder();
        int at = start + 1;
        while (at < source.length()) {
            char c = source.charAt(at);
            if (c == quote) {
                return new StringLiteral(value.toString(), at + 1);
            }
            if (c == '\\' && at + 1 < source.length()) {
                at = escape(source, at + 1, value);
            } else {
                value.append(c);
                at++;
            }
        }
        return new StringLiteral("", -1);
    }

    /** Appends what the escape at {@code at} (behind the backslash) means and returns the index behind it. */
    private static int escape(String source, int at, StringBuilder value) {
        char c = source.charAt(at);
        int simple = "\\'\"abfnrtv".indexOf(c);
        if (simple >= 0) {
            value.append("\\'\"\u0007\b\f\n\r\t\u000B".charAt(simple));
            return at + 1;
        }
        return switch (c) {
            case '\n' -> at + 1;
            case 'x' -> number(source, at + 1, 2, 16, value);
            case 'u' -> number(source, at + 1, 4, 16, value);
            case 'U' -> number(source, at + 1, 8, 16, value);
            case 'N' -> throw TemplateFault.unsupported("the string escape \\N");
            case '0', '1', '2', '3', '4', '5', '6', '7' -> {
                int end = at;
                while (end < Math.min(at + 3, source.length()) && Character.digit(source.charAt(end), 8) >= 0) {
                    end++;
                }
                yield number(source, at, end - at, 8, value);
            }
            default -> {
                value.append('\\').append(c);
                yield at + 1;
            }
        };
    }

    private static int number(String source, int at, int digits, int radix, StringBuilder value) {
        long code = 0;
        for (int i = at; i < at + digits; i++) {
            int digit = i < source.length() ? Character.digit(source.charAt(i), radix) : -1;
            if (digit < 0) {
                throw new TemplateFault("a string has an incomplete escape \\" + source.charAt(at - 1));
            }
            code = code * radix + digit;
        }
        if (code > Character.MAX_CODE_POINT) {
            throw new TemplateFault("a string has an escape beyond Unicode");
        }
        value.appendCodePoint((int) code);
        return at + digits;
    }
}

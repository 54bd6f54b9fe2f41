package org.duoattention.core.template;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Splits template source into tokens as Jinja does with {@code trim_blocks} and {@code lstrip_blocks}, which is how
 * transformers renders: a newline after a block or comment is dropped, and so are spaces in front of one that starts its line;
 * {@code -} strips all whitespace on its side and {@code +} keeps it.
 */
final class Lexer {
    private static final Pattern TAG = Pattern.compile("\\{[{%#]");
    private static final Pattern RAW =
            Pattern.compile("\\{%([-+]?)\\s*raw\\s*(?:-%\\}\\s*|%\\})", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern END_RAW =
            Pattern.compile("\\{%([-+]?)\\s*endraw\\s*(?:\\+%\\}|-%\\}\\s*|%\\}\\n?)", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern COMMENT_END =
            Pattern.compile("\\+#\\}|-#\\}\\s*|#\\}\\n?", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern BLOCK_END =
            Pattern.compile("\\+%\\}|-%\\}\\s*|%\\}\\n?", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern VARIABLE_END = Pattern.compile("-\\}\\}\\s*|\\}\\}", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern FLOAT =
            Pattern.compile("(?:\\d+_)*\\d+(?:(?:\\.(?:\\d+_)*\\d+)?[eE][+\\-]?(?:\\d+_)*\\d+|\\.(?:\\d+_)*\\d+)");
    private static final Pattern INTEGER =
            Pattern.compile("0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[0-9a-fA-F])+|[1-9](?:_?\\d)*|0(?:_?0)*");
    private static final Pattern NAME = Pattern.compile("[\\w&&[^\\d]]\\w*", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern OPERATOR = Pattern.compile("//|\\*\\*|==|!=|>=|<=|[-+/*%~\\[\\](){}><=.:|,;]");

    private final String source;
    private final List<Token> tokens = new ArrayList<>();
    private int position;
    private int line = 1;
    private int lineCountedTo;
    /** Whether what was read last ended with a newline, so that the next text starts a line. */
    private boolean lineStarting = true;

    private Lexer(String source) {
        this.source = source;
    }

    static List<Token> tokens(String template) {
        String source = template.replace("\r\n", "\n").replace('\r', '\n');
        Lexer lexer = new Lexer(source.endsWith("\n") ? source.substring(0, source.length() - 1) : source);
        lexer.run();
        return lexer.tokens;
    }

    private void run() {
        Matcher tag = TAG.matcher(source);
        while (tag.find(position)) {
            int start = tag.start();
            char kind = source.charAt(start + 1);
            if (kind == '#') {
                comment(start);
            } else if (kind == '{') {
                expression(start, Token.Kind.VARIABLE_BEGIN, Token.Kind.VARIABLE_END, VARIABLE_END);
            } else if (RAW.matcher(source).region(start, source.length()).lookingAt()) {
                raw(start);
            } else {
                expression(start, Token.Kind.BLOCK_BEGIN, Token.Kind.BLOCK_END, BLOCK_END);
            }
        }
        text(source.substring(position));
        position = source.length();
        add(Token.Kind.END, "");
    }

    /** Emits the text up to a tag, stripped as the tag's sign says, and moves behind the tag's beginning. */
    private void textBefore(int start, String sign, boolean stripsLine, int length) {
        text(stripped(source.substring(position, start), sign, stripsLine));
        position = start + length;
        lineStarting = false;
    }

    private String stripped(String text, String sign, boolean stripsLine) {
        if (sign.equals("-")) {
            return PythonText.rstrip(text);
        }
        if (stripsLine && !sign.equals("+")) {
            int lineStart = text.lastIndexOf('\n') + 1;
            if ((lineStart > 0 || lineStarting) && PythonText.isSpace(text.substring(lineStart))) {
                return text.substring(0, lineStart);
            }
        }
        return text;
    }

    private void text(String text) {
        if (!text.isEmpty()) {
            add(Token.Kind.TEXT, text);
        }
    }

    private String signAt(int index) {
        return index < source.length() && (source.charAt(index) == '-' || source.charAt(index) == '+')
                ? source.substring(index, index + 1)
                : "";
    }

    private void comment(int start) {
        String sign = signAt(start + 2);
        textBefore(start, sign, true, 2 + sign.length());
        Matcher end = COMMENT_END.matcher(source);
        if (!end.find(position)) {
            throw fault("a comment is not closed with '#}'");
        }
        moveTo(end.end());
    }

    private void raw(int start) {
        Matcher begin = RAW.matcher(source).region(start, source.length());
        begin.lookingAt();
        textBefore(start, begin.group(1), true, begin.end() - start);
        lineStarting = source.charAt(position - 1) == '\n';
        Matcher end = END_RAW.matcher(source);
        if (!end.find(position)) {
            throw fault("a raw block is not closed with '{% endraw %}'");
        }
        text(stripped(source.substring(position, end.start()), end.group(1), true));
        moveTo(end.end());
    }

    private void expression(int start, Token.Kind begin, Token.Kind end, Pattern endPattern) {
        String sign = signAt(start + 2);
        textBefore(start, sign, begin == Token.Kind.BLOCK_BEGIN, 2 + sign.length());
        add(begin, source.substring(start, position));
        Deque<Character> open = new ArrayDeque<>();
        while (true) {
            Matcher close = endPattern.matcher(source).region(position, source.length());
            if (open.isEmpty() && close.lookingAt()) {
                add(end, close.group());
                moveTo(close.end());
                return;
            }
            if (position == source.length()) {
                throw fault("'" + source.substring(start, start + 2) + "' is not closed");
            }
            token(open);
        }
    }

    private void token(Deque<Character> open) {
        char c = source.charAt(position);
        if (c == '\'' || c == '"') {
            string();
        } else if (PythonText.isSpace(c)) {
            position++;
        } else if (c >= '0' && c <= '9') {
            int length = source.charAt(position - 1) == '.' ? 0 : matches(FLOAT);
            take(length > 0 ? Token.Kind.FLOAT : Token.Kind.INTEGER, length > 0 ? length : matches(INTEGER));
        } else {
            int length = matches(OPERATOR);
            if (length > 0) {
                balance(open, c);
                take(Token.Kind.OPERATOR, length);
            } else {
                take(Token.Kind.NAME, matches(NAME));
            }
        }
    }

    private void string() {
        try {
            StringLiteral literal = StringLiteral.read(source, position);
            if (literal.end() < 0) {
                throw fault("a string is not closed");
            }
            add(Token.Kind.STRING, literal.value());
            position = literal.end();
        } catch (TemplateFault e) {
            throw fault(String.valueOf(e.getMessage()));
        }
    }

    private void balance(Deque<Character> open, char c) {
        switch (c) {
            case '(' -> open.push(')');
            case '[' -> open.push(']');
            case '{' -> open.push('}');
            case ')', ']', '}' -> {
                if (open.isEmpty() || open.pop() != c) {
                    throw fault("unexpected '" + c + "'");
                }
            }
            default -> {}
        }
    }

    private int matches(Pattern pattern) {
        Matcher matcher = pattern.matcher(source).region(position, source.length());
        return matcher.lookingAt() ? matcher.end() - position : 0;
    }

    private void take(Token.Kind kind, int length) {
        if (length == 0) {
            throw fault("unexpected character '" + source.charAt(position) + "'");
        }
        add(kind, source.substring(position, position + length));
        position += length;
    }

    private void moveTo(int end) {
        lineStarting = source.charAt(end - 1) == '\n';
        position = end;
    }

    private void add(Token.Kind kind, String text) {
        tokens.add(new Token(kind, text, lineAt(position)));
    }

    private int lineAt(int index) {
        while (lineCountedTo < index) {
            if (source.charAt(lineCountedTo++) == '\n') {
                line++;
            }
        }
        return line;
    }

    private LocatedFault fault(String message) {
        return new LocatedFault(message, lineAt(position));
    }
}

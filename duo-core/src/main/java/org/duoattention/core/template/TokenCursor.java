package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** The tokens of a template and the place reached in them, shared by the two parsers. */
final class TokenCursor {
    /** Deeper nesting than any real template; it bounds the stack of the parsers. */
    private static final int MAX_NESTING = 100;

    private final List<Token> tokens;
    private int position;
    private int nesting;
    private final List<Set<String>> watches = new ArrayList<>();

    TokenCursor(List<Token> tokens) {
        this.tokens = tokens;
    }

    Token current() {
        return tokens.get(position);
    }

    Token look() {
        return tokens.get(Math.min(position + 1, tokens.size() - 1));
    }

    Token next() {
        Token token = current();
        if (token.kind() != Token.Kind.END) {
            position++;
        }
        return token;
    }

    boolean skipOperator(String operator) {
        return skip(current().isOperator(operator));
    }

    boolean skipName(String name) {
        return skip(current().isName(name));
    }

    private boolean skip(boolean matches) {
        if (matches) {
            position++;
        }
        return matches;
    }

    void expectOperator(String operator) {
        if (!skipOperator(operator)) {
            throw fault("expected '" + operator + "', found " + current().describe());
        }
    }

    void expectName(String name) {
        if (!skipName(name)) {
            throw fault("expected '" + name + "', found " + current().describe());
        }
    }

    String expectAnyName() {
        if (current().kind() != Token.Kind.NAME) {
            throw fault("expected a name, found " + current().describe());
        }
        return next().text();
    }

    void expect(Token.Kind kind) {
        if (current().kind() != kind) {
            throw fault("expected " + new Token(kind, "", 0).describe() + ", found "
                    + current().describe());
        }
        next();
    }

    void enter() {
        if (++nesting > MAX_NESTING) {
            throw fault("it is nested more than " + MAX_NESTING + " deep");
        }
    }

    void leave() {
        nesting--;
    }

    LocatedFault fault(String message) {
        return new LocatedFault(message, current().line());
    }

    /** Starts to note the variable names that are read; {@link #unwatch} returns them. */
    void watch() {
        watches.add(new HashSet<>());
    }

    Set<String> unwatch() {
        return watches.removeLast();
    }

    /** Notes a name for every macro that is being parsed. */
    void noteName(String name) {
        watches.forEach(watch -> watch.add(name));
    }
}

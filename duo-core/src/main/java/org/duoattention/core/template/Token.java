package org.duoattention.core.template;

/**
 * A piece of template source.
 *
 * @param text the text itself, the name, the operator, the digits, or the unescaped string
 */
record Token(Kind kind, String text, int line) {
    enum Kind {
        TEXT,
        VARIABLE_BEGIN,
        VARIABLE_END,
        BLOCK_BEGIN,
        BLOCK_END,
        NAME,
        STRING,
        INTEGER,
        FLOAT,
        OPERATOR,
        END
    }

    boolean isName(String name) {
        return kind == Kind.NAME && text.equals(name);
    }

    boolean isOperator(String operator) {
        return kind == Kind.OPERATOR && text.equals(operator);
    }

    /** How a message names the token. */
    String describe() {
        return switch (kind) {
            case END -> "the end of the template";
            case BLOCK_END -> "'%}'";
            case VARIABLE_END -> "'}}'";
            case STRING -> "a string";
            default -> "'" + text + "'";
        };
    }
}

package org.duoattention.core.load;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonObject;
import org.duoattention.core.json.Quoted;

/**
 * Layers as compressed-tensors names them: by their whole name, by a regular expression that the name begins with
 * ({@code re:...}), or by the class of the layer.
 *
 * <p>Expressions come from a file that is not trusted: their length is bounded, and so is the work that matching them may
 * take.
 */
final class ModuleNames {
    /** The ways to name a layer; the more exact one is asked first. */
    enum Kind {
        NAME,
        EXPRESSION,
        CLASS
    }

    private static final String EXPRESSION_PREFIX = "re:";
    private static final int MOST_EXPRESSION_CHARS = 1_000;
    private static final long MOST_READS = 20_000_000;

    private final String where;
    private final Set<String> names;
    private final List<Pattern> expressions;
    private long reads;

    private ModuleNames(String where, Set<String> names, List<Pattern> expressions) {
        this.where = where;
        this.names = names;
        this.expressions = expressions;
    }

    /**
     * The layers that a list names.
     *
     * @param config where the list comes from, for messages
     */
    static ModuleNames of(JsonObject config, String key, List<String> list) {
        Set<String> names = new LinkedHashSet<>();
        List<Pattern> expressions = new ArrayList<>();
        for (String entry : list) {
            if (!entry.startsWith(EXPRESSION_PREFIX)) {
                names.add(entry);
                continue;
            }
            String expression = entry.substring(EXPRESSION_PREFIX.length());
            if (expression.length() > MOST_EXPRESSION_CHARS) {
                throw config.problem(key, "regular expressions of at most " + MOST_EXPRESSION_CHARS + " characters");
            }
            try {
                expressions.add(Pattern.compile(expression));
            } catch (PatternSyntaxException e) {
                throw config.problem(key, "names, or regular expressions after re:");
            }
        }
        return new ModuleNames(config.file() + ": " + key, names, expressions);
    }

    boolean contains(String module) {
        for (Kind kind : Kind.values()) {
            if (contains(module, kind)) {
                return true;
            }
        }
        return false;
    }

    boolean contains(String module, Kind kind) {
        return switch (kind) {
            case NAME -> names.contains(module);
            case EXPRESSION -> matches(module);
            case CLASS -> names.contains(module.endsWith("embed_tokens") ? "Embedding" : "Linear");
        };
    }

    private synchronized boolean matches(String module) {
        for (Pattern expression : expressions) {
            if (expression.matcher(new Counted(module)).lookingAt()) {
                return true;
            }
        }
        return false;
    }

    /** A name that counts how often a matcher reads it, since expressions exist that never come to an end. */
    private final class Counted implements CharSequence {
        private final String text;

        Counted(String text) {
            this.text = text;
        }

        @Override
        public char charAt(int index) {
            if (++reads > MOST_READS) {
                throw new DuoException(where + " has regular expressions that take too long on names like "
                        + Quoted.of(text) + "; expected simple ones");
            }
            return text.charAt(index);
        }

        @Override
        public int length() {
            return text.length();
        }

        @Override
        public CharSequence subSequence(int start, int end) {
            return new Counted(text.substring(start, end));
        }

        @Override
        public String toString() {
            return text;
        }
    }
}

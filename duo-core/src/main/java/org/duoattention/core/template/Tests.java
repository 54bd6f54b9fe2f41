package org.duoattention.core.template;

import java.util.Locale;
import java.util.Map;

/** What {@code is} can ask. */
final class Tests {
    private final Comparisons comparisons;
    private final Arithmetic arithmetic;

    Tests(Comparisons comparisons, Arithmetic arithmetic) {
        this.comparisons = comparisons;
        this.arithmetic = arithmetic;
    }

    boolean test(String name, Object value, Arguments arguments) {
        return switch (name) {
            case "eq", "equalto", "==" -> comparisons.equal(value, other(name, arguments));
            case "ne", "!=" -> !comparisons.equal(value, other(name, arguments));
            case "lt", "lessthan", "<" -> comparisons.isOrdered("<", value, other(name, arguments));
            case "le", "<=" -> comparisons.isOrdered("<=", value, other(name, arguments));
            case "gt", "greaterthan", ">" -> comparisons.isOrdered(">", value, other(name, arguments));
            case "ge", ">=" -> comparisons.isOrdered(">=", value, other(name, arguments));
            case "in" -> comparisons.contains(other(name, arguments), value);
            case "sameas" -> same(value, other(name, arguments));
            case "divisibleby" -> comparisons.equal(arithmetic.binary("%", value, other(name, arguments)), 0L);
            default -> {
                arguments.bind(name);
                yield unary(name, value);
            }
        };
    }

    private static Object other(String name, Arguments arguments) {
        return arguments.bind(name, "other").require("other");
    }

    /** Python's {@code is}: the constants are one object each, other values only if they are the same one. */
    private static boolean same(Object a, Object b) {
        return a == b
                || a instanceof Boolean && a.equals(b)
                || (a instanceof Long || a instanceof String) && a.equals(b);
    }

    private boolean unary(String name, Object value) {
        return switch (name) {
            case "defined" -> !(value instanceof Undefined);
            case "undefined" -> value instanceof Undefined;
            case "none" -> value instanceof None;
            case "true" -> Boolean.TRUE.equals(value);
            case "false" -> Boolean.FALSE.equals(value);
            case "boolean" -> value instanceof Boolean;
            case "integer" -> value instanceof Long;
            case "float" -> value instanceof Double;
            case "number" -> Values.isNumber(value);
            case "string" -> value instanceof String || value instanceof Marked;
            case "mapping" -> value instanceof Map;
            case "iterable" -> Values.isIterable(value);
            case "sequence" ->
                Values.isIterable(value)
                        && !(value instanceof Generator)
                        && !(value instanceof View)
                        && !(value instanceof LoopState);
            case "callable" -> value instanceof Function || value instanceof Undefined;
            case "odd" -> comparisons.equal(arithmetic.binary("%", value, 2L), 1L);
            case "even" -> comparisons.equal(arithmetic.binary("%", value, 2L), 0L);
            case "lower" -> {
                String s = PythonText.str(value);
                yield s.codePoints().anyMatch(Character::isLowerCase) && s.equals(s.toLowerCase(Locale.ROOT));
            }
            case "upper" -> {
                String s = PythonText.str(value);
                yield s.codePoints().anyMatch(Character::isUpperCase) && s.equals(s.toUpperCase(Locale.ROOT));
            }
            default -> throw TemplateFault.unsupported("the test '" + name + "'");
        };
    }
}

package org.duoattention.core.template;

import java.math.BigDecimal;
import java.util.List;
import java.util.Map;

/** Python's equality, order and membership. */
final class Comparisons {
    private final Budget budget;

    Comparisons(Budget budget) {
        this.budget = budget;
    }

    boolean equal(Object a, Object b) {
        budget.step();
        if (a instanceof Marked marked) {
            return equal(marked.text(), b);
        }
        if (b instanceof Marked marked) {
            return equal(a, marked.text());
        }
        if (Values.isNumber(a) && Values.isNumber(b)) {
            return compareNumbers(a, b) == 0 && !isNan(a) && !isNan(b);
        }
        if (a instanceof String && b instanceof String) {
            return a.equals(b);
        }
        budget.enter();
        try {
            return switch (a) {
                case List<?> list -> b instanceof List<?> other && equalItems(list, other);
                case Tuple tuple -> b instanceof Tuple other && equalItems(tuple.items(), other.items());
                case Map<?, ?> map -> b instanceof Map<?, ?> other && equalMaps(map, other);
                case Range range -> b instanceof Range other && equalItems(Values.items(range), Values.items(other));
                case None none -> b instanceof None;
                case Undefined undefined -> b instanceof Undefined;
                default -> a == b;
            };
        } finally {
            budget.leave();
        }
    }

    private boolean equalItems(List<?> a, List<?> b) {
        if (a.size() != b.size()) {
            return false;
        }
        for (int i = 0; i < a.size(); i++) {
            if (!equal(a.get(i), b.get(i))) {
                return false;
            }
        }
        return true;
    }

    private boolean equalMaps(Map<?, ?> a, Map<?, ?> b) {
        if (a.size() != b.size()) {
            return false;
        }
        for (Map.Entry<?, ?> entry : a.entrySet()) {
            Object other = b.get(entry.getKey());
            if (other == null || !equal(entry.getValue(), other)) {
                return false;
            }
        }
        return true;
    }

    /** Negative, zero or positive, where Python defines an order; a fault that names both types otherwise. */
    int compare(Object a, Object b) {
        budget.step();
        Values.requireDefined(a);
        Values.requireDefined(b);
        if (Values.isNumber(a) && Values.isNumber(b)) {
            return compareNumbers(a, b);
        }
        if (a instanceof String s && b instanceof String t) {
            return compareText(s, t);
        }
        if (a instanceof List<?> list && b instanceof List<?> other) {
            return compareItems(list, other);
        }
        if (a instanceof Tuple tuple && b instanceof Tuple other) {
            return compareItems(tuple.items(), other.items());
        }
        throw new TemplateFault(
                "values of type " + Values.typeName(a) + " and " + Values.typeName(b) + " have no order");
    }

    boolean isOrdered(String operator, Object a, Object b) {
        int order = compare(a, b);
        if (isNan(a) || isNan(b)) {
            return false;
        }
        return switch (operator) {
            case "<" -> order < 0;
            case "<=" -> order <= 0;
            case ">" -> order > 0;
            default -> order >= 0;
        };
    }

    private int compareItems(List<?> a, List<?> b) {
        budget.enter();
        try {
            for (int i = 0; i < Math.min(a.size(), b.size()); i++) {
                if (!equal(a.get(i), b.get(i))) {
                    return compare(a.get(i), b.get(i));
                }
            }
            return Integer.compare(a.size(), b.size());
        } finally {
            budget.leave();
        }
    }

    private static boolean isNan(Object value) {
        return value instanceof Double d && d.isNaN();
    }

    private static int compareNumbers(Object a, Object b) {
        if (a instanceof Double || b instanceof Double) {
            double x = Values.asDouble(a);
            double y = Values.asDouble(b);
            if (Double.isFinite(x) && Double.isFinite(y) && !(a instanceof Double && b instanceof Double)) {
                return exact(a).compareTo(exact(b));
            }
            return x == y ? 0 : Double.compare(x, y);
        }
        return Long.compare(Values.index(a, "a number"), Values.index(b, "a number"));
    }

    private static BigDecimal exact(Object number) {
        return number instanceof Double d ? new BigDecimal(d) : BigDecimal.valueOf(Values.index(number, "a number"));
    }

    /** Python orders by code point, Java by UTF-16 unit. */
    private static int compareText(String a, String b) {
        int i = 0;
        while (i < a.length() && i < b.length()) {
            int c = a.codePointAt(i);
            int d = b.codePointAt(i);
            if (c != d) {
                return Integer.compare(c, d);
            }
            i += Character.charCount(c);
        }
        return Integer.compare(a.length(), b.length());
    }

    boolean contains(Object container, Object value) {
        switch (container) {
            case String text -> {
                if (value instanceof String part) {
                    budget.text(text.length());
                    return text.contains(part);
                }
                throw new TemplateFault(
                        "'in' with a string on the right needs a string on the left, not " + Values.typeName(value));
            }
            case Map<?, ?> map -> {
                if (value instanceof List || value instanceof Map) {
                    throw new TemplateFault("a value of type " + Values.typeName(value) + " cannot be a key");
                }
                return map.containsKey(Values.key(value));
            }
            default -> {
                for (Object item : Values.items(container)) {
                    if (equal(item, value)) {
                        return true;
                    }
                }
                return false;
            }
        }
    }
}

package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

/** Python's arithmetic, also that of strings and lists. Integers have 64 bits; more is an error. */
final class Arithmetic {
    private final Budget budget;

    Arithmetic(Budget budget) {
        this.budget = budget;
    }

    Object binary(String operator, Object a, Object b) {
        Values.requireDefined(a);
        Values.requireDefined(b);
        if (operator.equals("%") && a instanceof String format) {
            return new PercentFormat(budget).format(format, b);
        }
        if (Values.isNumber(a) && Values.isNumber(b)) {
            try {
                return a instanceof Double || b instanceof Double
                        ? onDoubles(operator, Values.asDouble(a), Values.asDouble(b))
                        : onIntegers(operator, Values.index(a, "a number"), Values.index(b, "a number"));
            } catch (ArithmeticException e) {
                throw TemplateFault.unsupported("an integer of more than 64 bits");
            }
        }
        Object result = operator.equals("+") ? joined(a, b) : operator.equals("*") ? repeated(a, b) : None.NONE;
        if (result instanceof None) {
            throw new TemplateFault("'" + operator + "' does not work on values of type " + Values.typeName(a) + " and "
                    + Values.typeName(b));
        }
        return result;
    }

    private Object joined(Object a, Object b) {
        if (a instanceof String s && b instanceof String t) {
            budget.text((long) s.length() + t.length());
            return s + t;
        }
        if (a instanceof Marked marked && isText(b)) {
            return joined(marked, b instanceof Marked other ? other : Marked.escape((String) b));
        }
        if (b instanceof Marked marked && a instanceof String s) {
            return joined(Marked.escape(s), marked);
        }
        if (a instanceof List<?> list && b instanceof List<?> other) {
            return both(list, other);
        }
        if (a instanceof Tuple tuple && b instanceof Tuple other) {
            return new Tuple(both(tuple.items(), other.items()));
        }
        return None.NONE;
    }

    private static boolean isText(Object value) {
        return value instanceof String || value instanceof Marked;
    }

    private Marked joined(Marked a, Marked b) {
        budget.text((long) a.text().length() + b.text().length());
        return new Marked(a.text() + b.text());
    }

    private List<Object> both(List<?> a, List<?> b) {
        budget.items((long) a.size() + b.size());
        List<Object> both = new ArrayList<>(a);
        both.addAll(b);
        return both;
    }

    private Object repeated(Object a, Object b) {
        if (Values.isInteger(a)) {
            return Values.isInteger(b) ? None.NONE : repeated(b, a);
        }
        if (!Values.isInteger(b)) {
            return None.NONE;
        }
        long count = Math.clamp(Values.index(b, "a count"), 0L, 1L << 40);
        return switch (a) {
            case String s -> {
                budget.text(s.length() * count);
                yield s.repeat(s.isEmpty() ? 0 : (int) count);
            }
            case List<?> list -> repeat(list, count);
            case Tuple tuple -> new Tuple(repeat(tuple.items(), count));
            default -> None.NONE;
        };
    }

    private List<Object> repeat(List<?> items, long count) {
        budget.items(items.size() * count);
        List<Object> repeated = new ArrayList<>();
        for (long i = 0; i < count && !items.isEmpty(); i++) {
            repeated.addAll(items);
        }
        return repeated;
    }

    private static Object onIntegers(String operator, long a, long b) {
        return switch (operator) {
            case "+" -> Math.addExact(a, b);
            case "-" -> Math.subtractExact(a, b);
            case "*" -> Math.multiplyExact(a, b);
            case "/" -> (double) a / nonZero(b);
            case "//" -> {
                if (a == Long.MIN_VALUE && b == -1) {
                    throw new ArithmeticException();
                }
                yield Math.floorDiv(a, nonZero(b));
            }
            case "%" -> Math.floorMod(a, nonZero(b));
            default -> b < 0 ? (Object) power(a, b) : exactPower(a, b);
        };
    }

    private static long nonZero(long b) {
        if (b == 0) {
            throw new TemplateFault("division by zero");
        }
        return b;
    }

    /** Exact power; overflow ends the loop after at most 63 rounds. */
    private static long exactPower(long base, long exponent) {
        if (base == 0 || base == 1) {
            return exponent == 0 ? 1 : base;
        }
        if (base == -1) {
            return exponent % 2 == 0 ? 1 : -1;
        }
        long product = 1;
        for (long i = 0; i < exponent; i++) {
            product = Math.multiplyExact(product, base);
        }
        return product;
    }

    private static Object onDoubles(String operator, double a, double b) {
        return switch (operator) {
            case "+" -> a + b;
            case "-" -> a - b;
            case "*" -> a * b;
            case "/" -> a / nonZero(b);
            case "//" -> Math.floor((a - modulo(a, nonZero(b))) / b + 0.5);
            case "%" -> modulo(a, nonZero(b));
            default -> power(a, b);
        };
    }

    private static double nonZero(double b) {
        if (b == 0) {
            throw new TemplateFault("division by zero");
        }
        return b;
    }

    /** The remainder has the sign of the divisor. */
    private static double modulo(double a, double b) {
        double remainder = a % b;
        if (remainder == 0) {
            return Math.copySign(0.0, b);
        }
        return remainder < 0 == b < 0 ? remainder : remainder + b;
    }

    private static double power(double a, double b) {
        if (a == 0 && b < 0) {
            throw new TemplateFault("division by zero");
        }
        if (a < 0 && b != Math.rint(b)) {
            throw TemplateFault.unsupported("a complex number");
        }
        double power = Math.pow(a, b);
        if (Double.isInfinite(power) && Double.isFinite(a) && Double.isFinite(b)) {
            throw new TemplateFault("a power is too large");
        }
        return power;
    }

    Object unary(char operator, Object value) {
        Values.requireDefined(value);
        if (value instanceof Double d) {
            return operator == '-' ? -d : d;
        }
        if (Values.isInteger(value)) {
            long l = Values.index(value, "a number");
            if (operator == '-' && l == Long.MIN_VALUE) {
                throw TemplateFault.unsupported("an integer of more than 64 bits");
            }
            return operator == '-' ? -l : l;
        }
        throw new TemplateFault("'" + operator + "' does not work on a value of type " + Values.typeName(value));
    }

    /** {@code value[start:stop:step]} */
    Object slice(Object value, Object start, Object stop, Object step) {
        Values.requireDefined(value);
        if (!isBound(start) || !isBound(stop) || !isBound(step)) {
            throw new TemplateFault("a slice needs integers");
        }
        return switch (value) {
            case String s -> sliceText(s, start, stop, step);
            case List<?> list -> slice(list, start, stop, step);
            case Tuple tuple -> new Tuple(slice(tuple.items(), start, stop, step));
            case Range range -> {
                Span span = span((int) range.size(), start, stop, step);
                yield new Range(
                        range.start() + span.from() * range.step(),
                        range.start() + span.to() * range.step(),
                        range.step() * span.by());
            }
            default -> throw new TemplateFault("a value of type " + Values.typeName(value) + " cannot be sliced");
        };
    }

    private static boolean isBound(Object bound) {
        return bound instanceof None || Values.isInteger(bound);
    }

    private String sliceText(String s, Object start, Object stop, Object step) {
        budget.text(s.length());
        int[] points = s.codePoints().toArray();
        StringBuilder slice = new StringBuilder();
        span(points.length, start, stop, step).forEach(i -> slice.appendCodePoint(points[i]));
        return slice.toString();
    }

    private List<Object> slice(List<?> items, Object start, Object stop, Object step) {
        budget.items(items.size());
        List<Object> slice = new ArrayList<>();
        span(items.size(), start, stop, step).forEach(i -> slice.add(items.get(i)));
        return slice;
    }

    /** The indexes of a slice: from, to (not included), by. */
    private record Span(long from, long to, long by) {
        void forEach(IntConsumer visit) {
            for (long i = from; by > 0 ? i < to : i > to; i += by) {
                visit.accept((int) i);
            }
        }
    }

    private static Span span(int length, Object start, Object stop, Object step) {
        long by = step instanceof None ? 1 : Values.index(step, "a slice step");
        if (by == 0) {
            throw new TemplateFault("a slice step is zero");
        }
        long lowest = by > 0 ? 0 : -1;
        long highest = by > 0 ? length : length - 1;
        long from = bound(start, by > 0 ? lowest : highest, length, lowest, highest);
        long to = bound(stop, by > 0 ? highest : lowest, length, lowest, highest);
        return new Span(from, to, Math.clamp(by, -length - 1L, length + 1L));
    }

    private static long bound(Object bound, long otherwise, int length, long lowest, long highest) {
        if (bound instanceof None) {
            return otherwise;
        }
        long index = Values.index(bound, "a slice bound");
        return Math.clamp(index < 0 ? index + length : index, lowest, highest);
    }
}

package org.duoattention.core.template;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Filters of one value; those that walk sequences are in {@link SequenceFilters}. */
final class Filters {
    private static final Pattern WORD_START = Pattern.compile("[-\\s({\\[<]+", Pattern.UNICODE_CHARACTER_CLASS);

    private static final Set<String> KEEPS_MARK = Set.of("safe", "escape", "e", "tojson", "default", "d");

    private final Budget budget;
    private final StringMethods strings;
    private final SequenceFilters sequences;

    Filters(Budget budget, StringMethods strings, Comparisons comparisons, Tests tests, Attributes attributes) {
        this.budget = budget;
        this.strings = strings;
        this.sequences = new SequenceFilters(budget, comparisons, tests, attributes, this);
    }

    Object apply(String name, Object value, Arguments arguments) {
        budget.step();
        if (value instanceof Marked && !KEEPS_MARK.contains(name)) {
            throw TemplateFault.unsupported("the filter '" + name + "' on text marked as safe");
        }
        return switch (name) {
            case "trim" ->
                strings.call(
                        text(value),
                        "strip",
                        arguments.bind(name, "chars").has("chars")
                                ? new Arguments(
                                        List.of(arguments.bind(name, "chars").require("chars")), Map.of())
                                : Arguments.EMPTY);
            case "upper", "lower", "capitalize" -> strings.call(text(value), name, arguments);
            case "title" -> {
                arguments.bind(name);
                yield title(text(value));
            }
            case "string" -> {
                arguments.bind(name);
                yield text(value);
            }
            case "replace" -> {
                Arguments.Bound bound = arguments.bind(name, "old", "new", "count");
                Object count = bound.get("count", None.NONE);
                yield strings.replace(
                        text(value),
                        text(bound.require("old")),
                        text(bound.require("new")),
                        count instanceof None ? -1 : Values.index(count, "the count of replace"));
            }
            case "indent" -> {
                if (!(value instanceof String s)) {
                    throw new TemplateFault("indent needs a string, not " + Values.typeName(value));
                }
                yield indent(s, arguments);
            }
            case "tojson" -> json(value, arguments);
            case "length", "count" -> {
                arguments.bind(name);
                yield Values.length(value);
            }
            case "default", "d" -> {
                Arguments.Bound bound = arguments.bind(name, "default_value", "boolean");
                boolean absent = value instanceof Undefined || bound.isTrue("boolean", false) && !Values.truth(value);
                yield absent ? bound.get("default_value", "") : value;
            }
            case "int" -> toInteger(value, arguments);
            case "float" -> toFloat(value, arguments);
            case "abs" -> {
                arguments.bind(name);
                Values.requireDefined(value);
                if (!Values.isNumber(value)) {
                    throw new TemplateFault("abs needs a number, not " + Values.typeName(value));
                }
                yield value instanceof Double d ? (Object) Math.abs(d) : Math.absExact(Values.index(value, "abs"));
            }
            case "round" -> round(value, arguments);
            case "safe" -> {
                arguments.bind(name);
                yield value instanceof Marked ? value : new Marked(text(value));
            }
            case "escape", "e" -> {
                arguments.bind(name);
                yield value instanceof Marked ? value : Marked.escape(text(value));
            }
            default -> sequences.apply(name, value, arguments);
        };
    }

    private String text(Object value) {
        return PythonText.str(value, budget);
    }

    private static String title(String s) {
        StringBuilder out = new StringBuilder();
        Matcher matcher = WORD_START.matcher(s);
        int at = 0;
        while (matcher.find()) {
            out.append(raised(s.substring(at, matcher.start()))).append(matcher.group());
            at = matcher.end();
        }
        return out.append(raised(s.substring(at))).toString();
    }

    private static String raised(String word) {
        if (word.isEmpty()) {
            return word;
        }
        int end = Character.charCount(word.codePointAt(0));
        return word.substring(0, end).toUpperCase(Locale.ROOT)
                + word.substring(end).toLowerCase(Locale.ROOT);
    }

    private String indent(String s, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("indent", "width", "first", "blank");
        Object width = bound.get("width", 4L);
        long count = width instanceof String ? 0 : Math.max(0, Values.index(width, "the width of indent"));
        budget.text(count);
        String indentation = width instanceof String given ? given : " ".repeat((int) count);
        List<String> lines = PythonText.lines(s + "\n", false);
        budget.text((long) indentation.length() * lines.size());
        StringBuilder out = new StringBuilder(bound.isTrue("first", false) ? indentation : "");
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i);
            if (i > 0) {
                out.append('\n').append(line.isEmpty() && !bound.isTrue("blank", false) ? "" : indentation);
            }
            out.append(line);
        }
        return out.toString();
    }

    private String json(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys");
        Object indent = bound.get("indent", None.NONE);
        Optional<String> indentation = Optional.empty();
        if (indent instanceof String given) {
            indentation = Optional.of(given);
        } else if (!(indent instanceof None)) {
            long count = Math.max(0, Values.index(indent, "the indent of tojson"));
            budget.text(count);
            indentation = Optional.of(" ".repeat((int) count));
        }
        String itemSeparator = indentation.isPresent() ? "," : ", ";
        String keySeparator = ": ";
        Object separators = bound.get("separators", None.NONE);
        if (!(separators instanceof None)) {
            List<Object> pair = Values.items(separators);
            if (pair.size() != 2 || !(pair.get(0) instanceof String item) || !(pair.get(1) instanceof String key)) {
                throw new TemplateFault("the separators of tojson must be two strings");
            }
            itemSeparator = item;
            keySeparator = key;
        }
        return new JsonText(
                        budget,
                        indentation,
                        itemSeparator,
                        keySeparator,
                        bound.isTrue("sort_keys", false),
                        bound.isTrue("ensure_ascii", false))
                .write(value);
    }

    private static Object toInteger(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("int", "default", "base");
        if (bound.integer("base", 10L) != 10) {
            throw TemplateFault.unsupported("the filter 'int' with a base");
        }
        Values.requireDefined(value);
        if (Values.isInteger(value)) {
            return Values.index(value, "int");
        }
        double number;
        if (value instanceof String s) {
            String digits = StringMethods.strip(s, None.NONE, true, true).replaceAll("(?<=\\d)_(?=\\d)", "");
            if (digits.matches("[+-]?\\d{1,18}")) {
                return Long.parseLong(digits);
            }
            number = parsed(digits);
        } else {
            number = value instanceof Double d ? d : Double.NaN;
        }
        if (Double.isNaN(number)) {
            return bound.get("default", 0L);
        }
        if (Math.abs(number) >= 0x1p63) {
            throw TemplateFault.unsupported("an integer of more than 64 bits");
        }
        return (long) number;
    }

    private static Object toFloat(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("float", "default");
        Values.requireDefined(value);
        if (Values.isNumber(value)) {
            return Values.asDouble(value);
        }
        double number = value instanceof String s
                ? parsed(StringMethods.strip(s, None.NONE, true, true).replaceAll("(?<=\\d)_(?=\\d)", ""))
                : Double.NaN;
        return Double.isNaN(number) ? bound.get("default", 0.0) : number;
    }

    /** The number, or NaN where Python would refuse the text. Java alone would take suffixes and hexadecimal digits. */
    private static double parsed(String text) {
        if (text.matches("(?i)[+-]?(inf|infinity|nan)")) {
            throw TemplateFault.unsupported("the number '" + text + "'");
        }
        return text.matches("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?") ? Double.parseDouble(text) : Double.NaN;
    }

    private static Object round(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("round", "precision", "method");
        long precision = bound.integer("precision", 0L);
        Object method = bound.get("method", "common");
        Values.requireDefined(value);
        if (!Values.isNumber(value)) {
            throw new TemplateFault("round needs a number, not " + Values.typeName(value));
        }
        if (Math.abs(precision) > 300) {
            throw TemplateFault.unsupported("rounding to " + precision + " digits");
        }
        if (method.equals("common")) {
            if (Values.isInteger(value) && precision >= 0) {
                return Values.index(value, "round");
            }
            double number = Values.asDouble(value);
            if (!Double.isFinite(number)) {
                return number;
            }
            BigDecimal rounded = new BigDecimal(number).setScale((int) precision, RoundingMode.HALF_EVEN);
            return Values.isInteger(value) ? (Object) rounded.longValueExact() : signed(rounded.doubleValue(), number);
        }
        double scale = Math.pow(10, precision);
        double scaled = Values.asDouble(value) * scale;
        if (method.equals("ceil") || method.equals("floor")) {
            return (method.equals("ceil") ? Math.ceil(scaled) : Math.floor(scaled)) / scale + 0.0;
        }
        throw new TemplateFault("the method of round must be common, ceil or floor");
    }

    private static double signed(double rounded, double number) {
        return rounded == 0 ? Math.copySign(0.0, number) : rounded;
    }
}

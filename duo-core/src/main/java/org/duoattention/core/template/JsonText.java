package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Python's {@code json.dumps}, which transformers uses for {@code tojson}. */
final class JsonText {
    private final Budget budget;
    private final Optional<String> indent;
    private final String itemSeparator;
    private final String keySeparator;
    private final boolean sortKeys;
    private final boolean asciiOnly;
    private final StringBuilder out = new StringBuilder();

    JsonText(
            Budget budget,
            Optional<String> indent,
            String itemSeparator,
            String keySeparator,
            boolean sortKeys,
            boolean asciiOnly) {
        this.budget = budget;
        this.indent = indent;
        this.itemSeparator = itemSeparator;
        this.keySeparator = keySeparator;
        this.sortKeys = sortKeys;
        this.asciiOnly = asciiOnly;
    }

    String write(Object value) {
        value(value, 0);
        return out.toString();
    }

    private void value(Object value, int level) {
        budget.enter();
        budget.step();
        switch (value) {
            case None none -> out.append("null");
            case Boolean b -> out.append(b);
            case Long l -> out.append(l);
            case Double d -> out.append(number(d));
            case String s -> string(s);
            case Marked marked -> string(marked.text());
            case List<?> list -> items(list, level);
            case Tuple tuple -> items(tuple.items(), level);
            case Map<?, ?> map -> entries(map, level);
            default ->
                throw new TemplateFault("a value of type " + Values.typeName(value) + " cannot be written as JSON"
                        + (value instanceof Undefined undefined ? " (" + undefined.reason() + ")" : ""));
        }
        budget.leave();
    }

    private static String number(double value) {
        if (Double.isNaN(value)) {
            return "NaN";
        }
        return Double.isInfinite(value) ? (value > 0 ? "Infinity" : "-Infinity") : PythonText.number(value);
    }

    private void items(List<?> items, int level) {
        if (items.isEmpty()) {
            out.append("[]");
            return;
        }
        out.append('[');
        for (int i = 0; i < items.size(); i++) {
            out.append(i == 0 ? "" : itemSeparator);
            newline(level + 1);
            value(items.get(i), level + 1);
        }
        newline(level);
        out.append(']');
    }

    private void entries(Map<?, ?> map, int level) {
        if (map.isEmpty()) {
            out.append("{}");
            return;
        }
        out.append('{');
        boolean first = true;
        List<Object> keys = new ArrayList<>(map.keySet());
        if (sortKeys) {
            keys.sort(new Comparisons(budget)::compare);
        }
        for (Object key : keys) {
            out.append(first ? "" : itemSeparator);
            first = false;
            newline(level + 1);
            string(
                    key instanceof String s
                            ? s
                            : new JsonText(budget, indent, itemSeparator, keySeparator, false, asciiOnly).write(key));
            out.append(keySeparator);
            value(Values.map(map).getOrDefault(key, None.NONE), level + 1);
        }
        newline(level);
        out.append('}');
    }

    private void newline(int level) {
        if (indent.isPresent()) {
            budget.text((long) indent.get().length() * level);
            out.append('\n').repeat(indent.get(), level);
        }
    }

    private void string(String s) {
        budget.text(s.length());
        out.append('"');
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\f' -> out.append("\\f");
                case '\b' -> out.append("\\b");
                default -> {
                    if (c < 0x20 || asciiOnly && c > 0x7E) {
                        out.append(String.format("\\u%04x", (int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }
}

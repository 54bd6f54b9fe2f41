package org.duoattention.core.template;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Turns JSON values, as Java collections or as Jackson trees, into values of a template. */
final class JsonValues {
    private static final int MAX_DEPTH = 200;

    /** How many characters the strings seen so far have together. */
    private long characters;

    long characters() {
        return characters;
    }

    Object value(@Nullable Object json, String what) {
        return value(json, what, 0);
    }

    private Object value(@Nullable Object json, String what, int depth) {
        if (depth > MAX_DEPTH) {
            throw new DuoException(what + " is nested more than " + MAX_DEPTH + " levels deep; expected plain JSON.");
        }
        return switch (json) {
            case null -> None.NONE;
            case JsonNode node -> node(node, what, depth);
            case String s -> text(s);
            case Boolean b -> b;
            case Long l -> l;
            case Integer i -> (long) i;
            case Short s -> (long) s;
            case Byte b -> (long) b;
            case BigInteger big -> whole(big, what);
            case Number number -> number.doubleValue();
            case List<?> list -> {
                List<Object> items = new ArrayList<>(list.size());
                for (Object item : list) {
                    items.add(value(item, what, depth + 1));
                }
                yield items;
            }
            case Map<?, ?> map -> {
                Map<Object, Object> entries = Values.newMap();
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    if (!(entry.getKey() instanceof String key)) {
                        throw new DuoException(what + " has a key that is not a string; expected plain JSON.");
                    }
                    entries.put(text(key), value(entry.getValue(), what, depth + 1));
                }
                yield entries;
            }
            default ->
                throw new DuoException(
                        what + " has a value of type " + json.getClass().getName() + "; expected plain JSON.");
        };
    }

    private Object node(JsonNode node, String what, int depth) {
        if (node.isObject()) {
            Map<Object, Object> entries = Values.newMap();
            for (Map.Entry<String, JsonNode> entry : node.properties()) {
                entries.put(text(entry.getKey()), value(entry.getValue(), what, depth + 1));
            }
            return entries;
        }
        if (node.isArray()) {
            List<Object> items = new ArrayList<>(node.size());
            for (JsonNode item : node) {
                items.add(value(item, what, depth + 1));
            }
            return items;
        }
        return switch (node.getNodeType()) {
            case STRING -> text(node.stringValue());
            case BOOLEAN -> node.booleanValue();
            case NUMBER -> node.isIntegralNumber() ? whole(node.bigIntegerValue(), what) : (Object) node.doubleValue();
            case NULL, MISSING -> None.NONE;
            default ->
                throw new DuoException(what + " has a value of type " + node.getNodeType() + "; expected plain JSON.");
        };
    }

    private String text(String s) {
        characters += s.length();
        return s;
    }

    private static Long whole(BigInteger number, String what) {
        if (number.bitLength() > 63) {
            throw new DuoException(what + " has the number " + number + "; expected integers of at most 64 bits.");
        }
        return number.longValue();
    }
}

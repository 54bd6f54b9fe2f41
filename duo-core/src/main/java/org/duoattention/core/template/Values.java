package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Python's rules for the values of a template. Values are {@link None}, {@link Boolean}, {@link Long}, {@link Double}, {@link
 * String} (counted in code points), {@link Marked}, {@link List}, {@link Tuple}, {@link Map}, {@link View}, {@link Range}, {@link Generator},
 * {@link Namespace}, {@link Function}, {@link LoopState} and {@link Undefined}.
 */
final class Values {
    private Values() {}

    static String typeName(Object value) {
        return switch (value) {
            case None none -> "NoneType";
            case Boolean b -> "bool";
            case Long l -> "int";
            case Double d -> "float";
            case String s -> "str";
            case List<?> list -> "list";
            case Tuple tuple -> "tuple";
            case Map<?, ?> map -> "dict";
            case Marked marked -> "Markup";
            case View view -> view.kind();
            case Range range -> "range";
            case Generator generator -> "generator";
            case Namespace namespace -> "jinja2.utils.Namespace";
            case LoopState loop -> "jinja2.runtime.LoopContext";
            case Undefined undefined -> "Undefined";
            default -> "function";
        };
    }

    static boolean truth(Object value) {
        return switch (value) {
            case None none -> false;
            case Undefined undefined -> false;
            case Boolean b -> b;
            case Long l -> l != 0;
            case Double d -> d != 0;
            case String s -> !s.isEmpty();
            case Marked marked -> !marked.text().isEmpty();
            case List<?> list -> !list.isEmpty();
            case Tuple tuple -> !tuple.items().isEmpty();
            case Map<?, ?> map -> !map.isEmpty();
            case View view -> !view.items().isEmpty();
            case Range range -> range.size() > 0;
            default -> true;
        };
    }

    /** Fails as Jinja does when an undefined value is used for more than printing. */
    static void requireDefined(Object value) {
        if (value instanceof Undefined undefined) {
            throw new TemplateFault(undefined.reason());
        }
    }

    static long length(Object value) {
        return switch (value) {
            case Undefined undefined -> 0;
            case String s -> s.codePointCount(0, s.length());
            case List<?> list -> list.size();
            case Tuple tuple -> tuple.items().size();
            case Map<?, ?> map -> map.size();
            case View view -> view.items().size();
            case Range range -> range.size();
            case LoopState loop -> loop.length();
            default -> throw new TemplateFault("a value of type " + typeName(value) + " has no length");
        };
    }

    static boolean isIterable(Object value) {
        return value instanceof Undefined
                || value instanceof String
                || value instanceof Marked
                || value instanceof List
                || value instanceof Tuple
                || value instanceof Map
                || value instanceof View
                || value instanceof Range
                || value instanceof Generator
                || value instanceof LoopState;
    }

    /** The items that Python's iteration yields: characters of a string, keys of a mapping. */
    static List<Object> items(Object value) {
        return switch (value) {
            case Undefined undefined -> List.of();
            case String s -> characters(s);
            case List<?> list -> copy(list);
            case Tuple tuple -> tuple.items();
            case Map<?, ?> map -> copy(map.keySet());
            case View view -> view.items();
            case Range range -> range.items();
            case Generator generator -> generator.take();
            default -> throw new TemplateFault("a value of type " + typeName(value) + " cannot be iterated over");
        };
    }

    private static List<Object> copy(Iterable<?> items) {
        List<Object> copy = new ArrayList<>();
        items.forEach(copy::add);
        return copy;
    }

    private static List<Object> characters(String s) {
        List<Object> characters = new ArrayList<>(s.length());
        s.codePoints().forEach(c -> characters.add(Character.toString(c)));
        return characters;
    }

    /** An integer as Python takes it for an index or a count: ints and bools, nothing else. */
    static long index(Object value, String what) {
        if (value instanceof Long l) {
            return l;
        }
        if (value instanceof Boolean b) {
            return b ? 1 : 0;
        }
        requireDefined(value);
        throw new TemplateFault(what + " must be an integer, not " + typeName(value));
    }

    static boolean isInteger(Object value) {
        return value instanceof Long || value instanceof Boolean;
    }

    static boolean isNumber(Object value) {
        return isInteger(value) || value instanceof Double;
    }

    static double asDouble(Object number) {
        return number instanceof Double d ? d : (double) index(number, "a number");
    }

    /** A mapping, whose keys are all objects here. */
    @SuppressWarnings("unchecked")
    static Map<Object, Object> map(Map<?, ?> map) {
        return (Map<Object, Object>) map;
    }

    static View keys(Map<?, ?> map) {
        return new View("dict_keys", copy(map.keySet()));
    }

    static View values(Map<?, ?> map) {
        return new View("dict_values", copy(map.values()));
    }

    static View entries(Map<?, ?> map) {
        List<Object> entries = new ArrayList<>();
        map.forEach((key, value) -> entries.add(Tuple.of(key, value)));
        return new View("dict_items", entries);
    }

    /** A key as mappings store it: in Python 1, 1.0 and True are one key. */
    static Object key(Object key) {
        return switch (key) {
            case String s -> s;
            case Long l -> l;
            case None none -> none;
            case Boolean b -> b ? 1L : 0L;
            case Marked marked -> marked.text();
            case Double d when d == Math.rint(d) && Math.abs(d) < 1e15 -> (long) (double) d;
            default -> key;
        };
    }

    /** Puts an entry of a mapping that a template writes. */
    static void put(Map<Object, Object> map, Object key, Object value) {
        if (!(key instanceof String || key instanceof Long || key instanceof None)) {
            throw TemplateFault.unsupported("a mapping key of type " + typeName(key));
        }
        map.put(key, value);
    }

    static Map<Object, Object> newMap() {
        return new LinkedHashMap<>();
    }
}

package org.duoattention.core.template;

import java.util.List;
import java.util.Map;
import java.util.Set;

/** What {@code value.name} and {@code value[key]} give, in Jinja's order of looking. */
final class Attributes {
    private static final Set<String> MAPPING_METHODS = Set.of("get", "items", "keys", "values", "copy");
    private static final Set<String> SEQUENCE_METHODS = Set.of("index", "count");
    private static final Set<String> NUMBER_ATTRIBUTES = Set.of(
            "real",
            "imag",
            "numerator",
            "denominator",
            "conjugate",
            "bit_length",
            "bit_count",
            "to_bytes",
            "from_bytes",
            "as_integer_ratio",
            "is_integer",
            "hex",
            "fromhex");
    /** Methods that change their object, which the sandbox of transformers refuses when they are called. */
    private static final Set<String> CHANGES_MAPPING =
            Set.of("clear", "pop", "popitem", "setdefault", "update", "fromkeys");

    private static final Set<String> CHANGES_LIST =
            Set.of("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort");

    private final Budget budget;
    private final StringMethods strings;
    private final Comparisons comparisons;

    Attributes(Budget budget, StringMethods strings, Comparisons comparisons) {
        this.budget = budget;
        this.strings = strings;
        this.comparisons = comparisons;
    }

    /** {@code target.name}: a method or attribute first, then a key of that name. */
    Object attribute(Object target, String name) {
        Values.requireDefined(target);
        Object member = member(target, name);
        if (member instanceof Undefined && target instanceof Map<?, ?> map) {
            return Values.map(map).getOrDefault(name, member);
        }
        return member;
    }

    /** {@code target[key]}: a key or index first, then a method or attribute of that name. */
    Object item(Object target, Object key) {
        Values.requireDefined(target);
        Object found = switch (target) {
            case Map<?, ?> map -> Values.map(map).getOrDefault(Values.key(key), Undefined.attribute(target, key));
            case List<?> list -> element(list, target, key);
            case Tuple tuple -> element(tuple.items(), target, key);
            case Range range -> element(range.items(), target, key);
            case String s -> character(s, key);
            case Marked marked -> throw TemplateFault.unsupported("indexing a value of type Markup");
            default -> Undefined.attribute(target, key);
        };
        return found instanceof Undefined && key instanceof String name ? member(target, name) : found;
    }

    private static Object element(List<?> items, Object target, Object key) {
        if (Values.isInteger(key)) {
            long index = Values.index(key, "an index");
            long from = index < 0 ? index + items.size() : index;
            if (from >= 0 && from < items.size()) {
                return items.get((int) from);
            }
        }
        return Undefined.attribute(target, key);
    }

    private Object character(String s, Object key) {
        if (Values.isInteger(key)) {
            budget.text(s.length());
            int length = s.codePointCount(0, s.length());
            long index = Values.index(key, "an index");
            long from = index < 0 ? index + length : index;
            if (from >= 0 && from < length) {
                return Character.toString(s.codePointAt(s.offsetByCodePoints(0, (int) from)));
            }
        }
        return Undefined.attribute(s, key);
    }

    private Object member(Object target, String name) {
        switch (target) {
            case Map<?, ?> map -> {
                if (MAPPING_METHODS.contains(name)) {
                    return method(name, arguments -> mapping(map, name, arguments));
                }
                if (CHANGES_MAPPING.contains(name)) {
                    return refused(target, name);
                }
            }
            case String s -> {
                if (StringMethods.has(name)) {
                    return method(name, arguments -> strings.call(s, name, arguments));
                }
            }
            case List<?> list -> {
                if (CHANGES_LIST.contains(name)) {
                    return refused(target, name);
                }
                if (SEQUENCE_METHODS.contains(name)) {
                    return method(name, arguments -> sequence(list, name, arguments));
                }
                if (name.equals("copy")) {
                    return method(name, arguments -> Values.items(list));
                }
            }
            case Tuple tuple -> {
                if (SEQUENCE_METHODS.contains(name)) {
                    return method(name, arguments -> sequence(tuple.items(), name, arguments));
                }
            }
            case Namespace namespace -> {
                return namespace.attributes.getOrDefault(name, Undefined.attribute(target, name));
            }
            case LoopState loop -> {
                return loop.attribute(name);
            }
            case Macro macro
            when name.equals("name") -> {
                return macro.name();
            }
            default -> {
                if (Values.isNumber(target) && NUMBER_ATTRIBUTES.contains(name)
                        || target instanceof Marked
                        || target instanceof Function
                        || target instanceof Range
                        || target instanceof View) {
                    throw TemplateFault.unsupported("the attribute '" + name + "' of a " + Values.typeName(target));
                }
            }
        }
        return Undefined.attribute(target, name);
    }

    private static Undefined refused(Object target, String name) {
        return new Undefined(
                "the method '" + name + "' would change a " + Values.typeName(target) + ", which templates may not do");
    }

    private static Object mapping(Map<?, ?> map, String name, Arguments arguments) {
        if (name.equals("get")) {
            Arguments.Bound bound = arguments.bind(name, "key", "default");
            return Values.map(map).getOrDefault(Values.key(bound.require("key")), bound.get("default", None.NONE));
        }
        arguments.bind(name);
        return switch (name) {
            case "items" -> Values.entries(map);
            case "keys" -> Values.keys(map);
            case "values" -> Values.values(map);
            default -> {
                Map<Object, Object> copy = Values.newMap();
                copy.putAll(map);
                yield copy;
            }
        };
    }

    private Object sequence(List<?> items, String name, Arguments arguments) {
        Object wanted = arguments.bind(name, "value").require("value");
        long count = 0;
        for (int i = 0; i < items.size(); i++) {
            if (comparisons.equal(items.get(i), wanted)) {
                if (name.equals("index")) {
                    return (long) i;
                }
                count++;
            }
        }
        if (name.equals("index")) {
            throw new TemplateFault("a value is not in the list");
        }
        return count;
    }

    private static Function method(String name, java.util.function.Function<Arguments, Object> body) {
        return new Builtin(name, body);
    }

    /** A function that this program brings. */
    record Builtin(String name, java.util.function.Function<Arguments, Object> body) implements Function {
        @Override
        public Object call(Arguments arguments) {
            return body.apply(arguments);
        }
    }
}

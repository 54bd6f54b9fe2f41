package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** Filters that walk a sequence or a mapping. */
final class SequenceFilters {
    private final Budget budget;
    private final Comparisons comparisons;
    private final Tests tests;
    private final Attributes attributes;
    private final Filters filters;

    SequenceFilters(Budget budget, Comparisons comparisons, Tests tests, Attributes attributes, Filters filters) {
        this.budget = budget;
        this.comparisons = comparisons;
        this.tests = tests;
        this.attributes = attributes;
        this.filters = filters;
    }

    Object apply(String name, Object value, Arguments arguments) {
        return switch (name) {
            case "list" -> {
                arguments.bind(name);
                yield new ArrayList<>(walk(value));
            }
            case "items" -> {
                arguments.bind(name);
                yield new Generator(entries(value));
            }
            case "join" -> join(value, arguments);
            case "first" -> {
                arguments.bind(name);
                List<Object> items = walk(value);
                yield items.isEmpty() ? new Undefined("No first item, sequence was empty.") : items.getFirst();
            }
            case "last" -> {
                arguments.bind(name);
                List<Object> items = reversible(value);
                yield items.isEmpty() ? new Undefined("No last item, sequence was empty.") : items.getLast();
            }
            case "reverse" -> {
                arguments.bind(name);
                yield reverse(value);
            }
            case "sort" -> sort(value, arguments);
            case "dictsort" -> dictsort(value, arguments);
            case "unique" -> unique(value, arguments);
            case "sum" -> sum(value, arguments);
            case "min", "max" -> extreme(name, value, arguments);
            case "map" -> map(value, arguments);
            case "select", "reject" -> select(name, value, arguments, false);
            case "selectattr", "rejectattr" -> select(name, value, arguments, true);
            default -> throw TemplateFault.unsupported("the filter '" + name + "'");
        };
    }

    private List<Object> walk(Object value) {
        if (value instanceof String || value instanceof Range) {
            budget.items(Values.length(value));
        }
        List<Object> items = Values.items(value);
        budget.items(items.size());
        return items;
    }

    private List<Object> reversible(Object value) {
        if (value instanceof Generator) {
            throw new TemplateFault("a generator cannot be walked from its end; use the filter 'list' first");
        }
        return walk(value);
    }

    private Object reverse(Object value) {
        if (value instanceof String s) {
            budget.text(s.length());
            return new StringBuilder(s).reverse().toString();
        }
        List<Object> reversed = new ArrayList<>(walk(value));
        Collections.reverse(reversed);
        return new Generator(reversed);
    }

    private static List<Object> entries(Object value) {
        if (value instanceof Undefined) {
            return List.of();
        }
        if (value instanceof Map<?, ?> map) {
            return Values.entries(map).items();
        }
        throw new TemplateFault("the filter needs a mapping, not " + Values.typeName(value));
    }

    private String join(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("join", "d", "attribute");
        String separator = PythonText.str(bound.get("d", ""), budget);
        Object attribute = bound.get("attribute", None.NONE);
        StringBuilder out = new StringBuilder();
        boolean first = true;
        for (Object item : walk(value)) {
            String text = PythonText.str(attribute instanceof None ? item : attributeOf(item, attribute), budget);
            budget.text((long) text.length() + separator.length());
            out.append(first ? "" : separator).append(text);
            first = false;
        }
        return out.toString();
    }

    /** {@code a.b.0} as filters take it: names and indexes, one after the other. */
    private Object attributeOf(Object item, Object attribute) {
        if (!(attribute instanceof String path)) {
            return attributes.item(item, attribute);
        }
        Object value = item;
        for (String part : path.split("\\.", -1)) {
            value = attributes.item(value, part.matches("\\d{1,9}") ? (Object) Long.parseLong(part) : part);
        }
        return value;
    }

    /** As in Jinja, {@code map} and {@code select} take anything false, None for one, as empty. */
    private List<Object> walkOrEmpty(Object value) {
        return Values.truth(value) ? walk(value) : List.of();
    }

    private Object map(Object value, Arguments arguments) {
        List<Object> mapped = new ArrayList<>();
        if (arguments.positional().isEmpty()) {
            Arguments.Bound bound = arguments.bind("map", "attribute", "default");
            Object attribute = bound.require("attribute");
            Object otherwise = bound.get("default", None.NONE);
            for (Object item : walkOrEmpty(value)) {
                Object found = attributeOf(item, attribute);
                mapped.add(found instanceof Undefined && !(otherwise instanceof None) ? otherwise : found);
            }
            return new Generator(mapped);
        }
        String name = name(arguments, "map");
        for (Object item : walkOrEmpty(value)) {
            mapped.add(filters.apply(name, item, arguments.skip(1)));
        }
        return new Generator(mapped);
    }

    private static String name(Arguments arguments, String filter) {
        if (arguments.positional().getFirst() instanceof String name) {
            return name;
        }
        throw new TemplateFault("the first argument of the filter '" + filter + "' must be a string");
    }

    private Object select(String filter, Object value, Arguments arguments, boolean byAttribute) {
        boolean wanted = filter.startsWith("select");
        Arguments rest = arguments;
        Object attribute = None.NONE;
        if (byAttribute) {
            if (arguments.positional().isEmpty()) {
                throw new TemplateFault("the filter '" + filter + "' is missing the attribute");
            }
            attribute = arguments.positional().getFirst();
            rest = arguments.skip(1);
        }
        List<Object> selected = new ArrayList<>();
        for (Object item : walkOrEmpty(value)) {
            Object subject = byAttribute ? attributeOf(item, attribute) : item;
            boolean holds = rest.positional().isEmpty()
                    ? Values.truth(subject)
                    : tests.test(name(rest, filter), subject, rest.skip(1));
            if (holds == wanted) {
                selected.add(item);
            }
        }
        return new Generator(selected);
    }

    /** What items are ordered or told apart by: the attribute, and without regard to case unless asked. */
    private Object sortKey(Object item, Object attribute, boolean caseSensitive) {
        Object key = attribute instanceof None ? item : attributeOf(item, attribute);
        return key instanceof String s && !caseSensitive ? s.toLowerCase(Locale.ROOT) : key;
    }

    private record Keyed(Object key, Object item) {}

    private List<Object> sorted(List<Keyed> items, boolean reverse) {
        // Python's reversed sort keeps the order of equal items, as a reversed comparison does.
        Comparator<Keyed> order = (a, b) -> comparisons.compare(a.key(), b.key());
        List<Keyed> sorted = new ArrayList<>(items);
        sorted.sort(reverse ? order.reversed() : order);
        List<Object> result = new ArrayList<>();
        sorted.forEach(keyed -> result.add(keyed.item()));
        return result;
    }

    private Object sort(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("sort", "reverse", "case_sensitive", "attribute");
        Object attribute = bound.get("attribute", None.NONE);
        if (attribute instanceof String path && path.contains(",")) {
            throw TemplateFault.unsupported("sorting by several attributes");
        }
        List<Keyed> keyed = new ArrayList<>();
        for (Object item : walk(value)) {
            keyed.add(new Keyed(sortKey(item, attribute, bound.isTrue("case_sensitive", false)), item));
        }
        return sorted(keyed, bound.isTrue("reverse", false));
    }

    private Object dictsort(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("dictsort", "case_sensitive", "by", "reverse");
        Object by = bound.get("by", "key");
        if (!Set.<Object>of("key", "value").contains(by)) {
            throw new TemplateFault("dictsort sorts by 'key' or 'value'");
        }
        Values.requireDefined(value);
        List<Keyed> keyed = new ArrayList<>();
        for (Object entry : entries(value)) {
            Object key = attributes.item(entry, by.equals("key") ? 0L : 1L);
            keyed.add(new Keyed(sortKey(key, None.NONE, bound.isTrue("case_sensitive", false)), entry));
        }
        return sorted(keyed, bound.isTrue("reverse", false));
    }

    private Object unique(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("unique", "case_sensitive", "attribute");
        List<Object> seen = new ArrayList<>();
        List<Object> kept = new ArrayList<>();
        for (Object item : walk(value)) {
            Object key = sortKey(item, bound.get("attribute", None.NONE), bound.isTrue("case_sensitive", false));
            if (!comparisons.contains(seen, key)) {
                seen.add(key);
                kept.add(item);
            }
        }
        return new Generator(kept);
    }

    private Object sum(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("sum", "attribute", "start");
        Object attribute = bound.get("attribute", None.NONE);
        Object total = bound.get("start", 0L);
        if (total instanceof String) {
            throw new TemplateFault("the filter 'sum' does not work on strings");
        }
        Arithmetic arithmetic = new Arithmetic(budget);
        for (Object item : walk(value)) {
            total = arithmetic.binary("+", total, attribute instanceof None ? item : attributeOf(item, attribute));
        }
        return total;
    }

    private Object extreme(String name, Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind(name, "case_sensitive", "attribute");
        List<Keyed> keyed = new ArrayList<>();
        for (Object item : walk(value)) {
            keyed.add(new Keyed(
                    sortKey(item, bound.get("attribute", None.NONE), bound.isTrue("case_sensitive", false)), item));
        }
        if (keyed.isEmpty()) {
            return new Undefined("No aggregated item, sequence was empty.");
        }
        return sorted(keyed, name.equals("max")).getFirst();
    }
}

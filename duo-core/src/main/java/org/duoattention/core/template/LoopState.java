package org.duoattention.core.template;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;

/**
 * The {@code loop} of a {@code for} statement. Items are drawn one at a time, because a filter on the loop is evaluated only
 * when an item is asked for and may depend on what the body has set.
 */
final class LoopState {
    private final Iterator<Object> source;
    private final Comparisons comparisons;
    private final Deque<Object> ahead = new ArrayDeque<>();
    private long index0 = -1;
    private Object previous = new Undefined("there is no previous item");
    private Object current = new Undefined("the loop has not begun");
    private List<Object> lastChanged = List.of();

    LoopState(Iterator<Object> source, Comparisons comparisons) {
        this.source = source;
        this.comparisons = comparisons;
    }

    boolean hasNext() {
        return !ahead.isEmpty() || source.hasNext();
    }

    Object next() {
        if (index0 >= 0) {
            previous = current;
        }
        index0++;
        current = ahead.isEmpty() ? source.next() : ahead.removeFirst();
        return current;
    }

    private Object peek() {
        if (ahead.isEmpty()) {
            if (!source.hasNext()) {
                return new Undefined("there is no next item");
            }
            ahead.add(source.next());
        }
        return ahead.getFirst();
    }

    long length() {
        while (source.hasNext()) {
            ahead.add(source.next());
        }
        return index0 + 1 + ahead.size();
    }

    Object attribute(String name) {
        return switch (name) {
            case "index" -> index0 + 1;
            case "index0" -> index0;
            case "first" -> index0 == 0;
            case "last" -> !hasNext();
            case "length" -> length();
            case "revindex" -> length() - index0;
            case "revindex0" -> length() - index0 - 1;
            case "previtem" -> previous;
            case "nextitem" -> peek();
            case "depth" -> 1L;
            case "depth0" -> 0L;
            case "cycle" -> new Attributes.Builtin(name, this::cycle);
            case "changed" -> new Attributes.Builtin(name, this::changed);
            default -> Undefined.attribute(this, name);
        };
    }

    private Object cycle(Arguments arguments) {
        if (arguments.positional().isEmpty()) {
            throw new TemplateFault("loop.cycle() needs values");
        }
        return arguments.positional().get((int) (index0 % arguments.positional().size()));
    }

    private Object changed(Arguments arguments) {
        boolean same = comparisons.equal(lastChanged, arguments.positional());
        boolean first = lastChanged.isEmpty() && !arguments.positional().isEmpty();
        lastChanged = arguments.positional();
        return first || !same;
    }
}

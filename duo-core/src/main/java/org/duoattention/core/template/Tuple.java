package org.duoattention.core.template;

import java.util.List;

/** A Python tuple: equal to other tuples only, never to a list. */
record Tuple(List<Object> items) {
    static Tuple of(Object... items) {
        return new Tuple(List.of(items));
    }
}

package org.duoattention.core.template;

import java.util.List;

/**
 * What filters such as {@code map} and {@code selectattr} return: it can be walked once, has no length and is always true.
 */
final class Generator {
    private List<Object> items;

    Generator(List<Object> items) {
        this.items = items;
    }

    /** The items; a second call finds none, as in Python. */
    List<Object> take() {
        List<Object> taken = items;
        items = List.of();
        return taken;
    }
}

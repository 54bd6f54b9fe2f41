package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.List;

/** Python's range, kept as three numbers. */
record Range(long start, long stop, long step) {
    long size() {
        if (step > 0 ? start >= stop : start <= stop) {
            return 0;
        }
        long span = step > 0 ? Math.subtractExact(stop, start) : Math.subtractExact(start, stop);
        return (span - 1) / Math.absExact(step) + 1;
    }

    List<Object> items() {
        long size = size();
        List<Object> items = new ArrayList<>((int) size);
        for (long i = 0; i < size; i++) {
            items.add(start + i * step);
        }
        return items;
    }
}

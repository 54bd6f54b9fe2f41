package org.duoattention.backend.cuda.driver;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What the growing blocks of this process were promised of one device and have not taken yet. One for all pools of the
 * device, because each model has its own, and a promise keeps memory from all of them. Locked by whoever looks and then
 * promises or takes.
 */
final class Promises {
    private static final Map<Integer, Promises> DEVICES = new ConcurrentHashMap<>();

    private long bytes;

    private Promises() {}

    /** Those of a device. */
    static Promises of(Context context) {
        return DEVICES.computeIfAbsent(context.device(), device -> new Promises());
    }

    /** Bytes that are promised and not taken. */
    synchronized long bytes() {
        return bytes;
    }

    /** Adds to them; negative when memory is taken, or a promise ends. */
    synchronized void add(long more) {
        bytes += more;
    }
}

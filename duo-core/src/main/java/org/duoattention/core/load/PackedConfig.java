package org.duoattention.core.load;

import java.util.List;
import java.util.Locale;
import org.duoattention.core.json.JsonObject;

/** What the configurations of AutoAWQ and GPTQ have in common. */
final class PackedConfig {
    private static final int MOST_GROUP = 1 << 24;

    private PackedConfig() {}

    /**
     * The group size; 0 for the whole row, which both write as -1.
     *
     * @param keys names that the setting has had
     */
    static int group(JsonObject config, List<String> keys) {
        for (String key : keys) {
            if (config.isSet(key)) {
                long size = config.integer(key, -1, MOST_GROUP).orElseThrow();
                if (size == 0) {
                    throw config.problem(key, "a positive number, or -1 for whole rows");
                }
                return (int) Math.max(size, 0);
            }
        }
        return config.requiredInteger(keys.getFirst(), -1, MOST_GROUP);
    }

    /** The bits of a code. */
    static int bits(JsonObject config, List<String> keys, List<Integer> supported) {
        String key = keys.stream().filter(config::isSet).findFirst().orElse(keys.getFirst());
        int bits = config.requiredInteger(key, 1, 32);
        if (!supported.contains(bits)) {
            throw config.problem(key, supported + ", what is supported");
        }
        return bits;
    }

    /** Refuses a setting that has another value than the given one, or none. */
    static void require(JsonObject config, String key, String value) {
        if (!config.string(key).orElse(value).toLowerCase(Locale.ROOT).equals(value)) {
            throw config.problem(key, value + ", the only layout that is supported");
        }
    }

    /** Refuses a setting that is on. */
    static void refuse(JsonObject config, String key, String why) {
        if (config.bool(key, false)) {
            throw config.problem(key, "false; " + why);
        }
    }
}

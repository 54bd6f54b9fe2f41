package org.duoattention.identify.text;

import java.util.Random;

/**
 * Independent random sequences from one seed. {@link Random}'s algorithm is part of its contract, so a seed gives the
 * same text and the same prompts on every JDK.
 */
public final class Seeds {
    private Seeds() {}

    /** A generator for the seed and the parts that tell this use from others. */
    public static Random random(long seed, long... parts) {
        long state = mix(seed);
        for (long part : parts) {
            state = mix(state ^ mix(part + 0x9E3779B97F4A7C15L));
        }
        return new Random(state);
    }

    /** The finaliser of MurmurHash3, 64 bits: Random itself only flips bits of its seed, so near seeds start alike. */
    private static long mix(long value) {
        long x = (value ^ (value >>> 33)) * 0xFF51AFD7ED558CCDL;
        x = (x ^ (x >>> 33)) * 0xC4CEB9FE1A85EC53L;
        return x ^ (x >>> 33);
    }
}

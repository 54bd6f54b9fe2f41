package org.duoattention.core.template;

/**
 * What one rendering may cost, so that a hostile or broken template ends with an error instead of using up the processor, the
 * memory or the stack. One unit is one evaluated node, one compared value, or eight characters of text that are looked at or
 * made.
 */
final class Budget {
    /** Python's own limit is 1,000 frames; this fits a stack of 512 KiB. */
    private static final int MAX_DEPTH = 300;

    private static final int CHARACTERS_PER_UNIT = 8;

    private final long limit;
    private final long maxText;
    private long used;
    private int depth;

    /**
     * @param units how many units may be used
     * @param maxText how many characters any single text may have
     */
    Budget(long units, long maxText) {
        this.limit = units;
        this.maxText = maxText;
    }

    void step() {
        use(1);
    }

    /** Pays for walking or building a text, before it is built. */
    void text(long characters) {
        checkLength(characters);
        use(1 + characters / CHARACTERS_PER_UNIT);
    }

    void checkLength(long characters) {
        if (characters > maxText) {
            throw new TemplateFault("it makes a text of more than " + maxText + " characters");
        }
    }

    /** Pays for a list of so many items, before it is built. */
    void items(long count) {
        use(1 + count);
    }

    private void use(long units) {
        used += units;
        if (used > limit || used < 0) {
            throw new TemplateFault("it does more than " + limit + " steps of work; it may be in an endless loop");
        }
    }

    void enter() {
        if (++depth > MAX_DEPTH) {
            throw new TemplateFault("it is nested or calls itself more than " + MAX_DEPTH + " levels deep");
        }
    }

    void leave() {
        depth--;
    }
}

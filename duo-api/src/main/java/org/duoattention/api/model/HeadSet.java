package org.duoattention.api.model;

import java.util.Arrays;
import java.util.BitSet;
import java.util.stream.IntStream;

/** An immutable set of head indices of one layer, in ascending order. */
public final class HeadSet {
    private static final HeadSet EMPTY = new HeadSet(new BitSet());

    private final BitSet bits;
    private final int[] heads;

    private HeadSet(BitSet bits) {
        this.bits = bits;
        this.heads = bits.stream().toArray();
    }

    /** The set without heads. */
    public static HeadSet empty() {
        return EMPTY;
    }

    /** The set {@code 0 .. count-1}. */
    public static HeadSet range(int count) {
        BitSet bits = new BitSet(count);
        bits.set(0, count);
        return new HeadSet(bits);
    }

    /**
     * The set of the given heads; repetitions count once.
     *
     * @throws IllegalArgumentException when a head is negative
     */
    public static HeadSet of(int... heads) {
        BitSet bits = new BitSet();
        for (int head : heads) {
            if (head < 0) {
                throw new IllegalArgumentException("a head index is not negative: " + head);
            }
            bits.set(head);
        }
        return new HeadSet(bits);
    }

    /** Number of heads. */
    public int size() {
        return heads.length;
    }

    /** Whether there are no heads. */
    public boolean isEmpty() {
        return heads.length == 0;
    }

    /** Whether the head belongs to the set. */
    public boolean contains(int head) {
        return head >= 0 && bits.get(head);
    }

    /** The {@code index}-th smallest head, {@code 0 <= index < size()}. */
    public int get(int index) {
        return heads[index];
    }

    /** The largest head, or -1 when empty. */
    public int max() {
        return heads.length == 0 ? -1 : heads[heads.length - 1];
    }

    /** The heads in ascending order. */
    public IntStream stream() {
        return Arrays.stream(heads);
    }

    /** The heads of {@code 0 .. total-1} that are not in this set. */
    public HeadSet complement(int total) {
        if (max() >= total) {
            throw new IllegalArgumentException("head " + max() + " does not exist among " + total + " heads");
        }
        BitSet rest = (BitSet) bits.clone();
        rest.flip(0, total);
        return new HeadSet(rest);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof HeadSet that && bits.equals(that.bits);
    }

    @Override
    public int hashCode() {
        return bits.hashCode();
    }

    /** For example {@code {0, 3}}. */
    @Override
    public String toString() {
        return bits.toString();
    }
}

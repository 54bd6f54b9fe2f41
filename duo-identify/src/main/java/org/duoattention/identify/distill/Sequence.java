package org.duoattention.identify.distill;

import java.util.Arrays;
import org.duoattention.api.backend.Rope;

/**
 * The sequence of a step, cut into blocks of rows.
 *
 * @param ids token ids
 * @param labels rows whose final states count
 * @param rope the rotation of all rows
 * @param block rows of a block
 */
record Sequence(int[] ids, LabelledRows labels, Rope rope, int block) {
    /**
     * What is done to a block.
     *
     * <p>May be interrupted between blocks.
     */
    @FunctionalInterface
    interface Body {
        void at(int row, int count);
    }

    int tokens() {
        return ids.length;
    }

    /** The first row that the final states of labelled rows need in the last layer, apart from its keys and values. */
    int firstNeeded() {
        return labels.first() / block * block;
    }

    int[] ids(int row, int count) {
        return Arrays.copyOfRange(ids, row, row + count);
    }

    /**
     * Goes through blocks in order.
     *
     * @param from first row, a multiple of the block
     * @throws InterruptedException when the thread is interrupted
     */
    void blocks(int from, Body body) throws InterruptedException {
        for (int row = from; row < ids.length; row += block) {
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            body.at(row, Math.min(block, ids.length - row));
        }
    }
}

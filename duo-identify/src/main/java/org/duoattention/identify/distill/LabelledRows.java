package org.duoattention.identify.distill;

import java.util.ArrayList;
import java.util.List;

/**
 * The rows whose final states count, as runs of neighbours that fit a block.
 *
 * @param runs in ascending order
 * @param count rows together
 */
record LabelledRows(List<Run> runs, int count) {
    /**
     * Neighbours.
     *
     * @param row the first
     * @param index its place among all labelled rows
     * @param count how many
     */
    record Run(int row, int index, int count) {}

    static LabelledRows of(int[] labels, int block) {
        List<Run> runs = new ArrayList<>();
        for (int begin = 0; begin < labels.length; ) {
            int end = begin + 1;
            while (end < labels.length && end - begin < block && labels[end] == labels[end - 1] + 1) {
                end++;
            }
            runs.add(new Run(labels[begin], begin, end - begin));
            begin = end;
        }
        return new LabelledRows(runs, labels.length);
    }

    int first() {
        return runs.getFirst().row();
    }
}

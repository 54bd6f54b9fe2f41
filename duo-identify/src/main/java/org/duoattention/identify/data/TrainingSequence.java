package org.duoattention.identify.data;

/**
 * One sequence for identification.
 *
 * @param ids token ids, at least one; not to be changed
 * @param labels positions of the hidden states that count in the loss, strictly ascending, at least one; not to be
 *     changed
 */
public record TrainingSequence(int[] ids, int[] labels) {
    /** Checks the positions. */
    public TrainingSequence {
        if (ids.length == 0 || labels.length == 0) {
            throw new IllegalArgumentException(
                    "a sequence has tokens and labels, not " + ids.length + " and " + labels.length);
        }
        int last = -1;
        for (int label : labels) {
            if (label <= last || label >= ids.length) {
                throw new IllegalArgumentException(
                        "labels ascend from 0 to " + (ids.length - 1) + "; " + label + " follows " + last);
            }
            last = label;
        }
    }
}

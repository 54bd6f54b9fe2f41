package org.duoattention.core.sample;

/**
 * The ranks of all scores, found one by one: a heap sort that stops where the caller does. Its memory stays from one ranking
 * to the next.
 */
final class Ranking implements Ranked {
    /** A heap of the ids that have no rank yet, then the ranked ones, the first of them last. */
    private int[] ids = {};

    private double[] scores = {};
    private int unranked;

    /**
     * Begins anew.
     *
     * @param scores one per id, none of them NaN; not changed, and read until the next call
     */
    void of(double[] scores) {
        this.scores = scores;
        if (ids.length != scores.length) {
            ids = new int[scores.length];
        }
        for (int i = 0; i < ids.length; i++) {
            ids[i] = i;
        }
        unranked = ids.length;
        for (int i = unranked / 2 - 1; i >= 0; i--) {
            sink(i, ids[i]);
        }
    }

    @Override
    public double score(int rank) {
        while (ids.length - unranked <= rank) {
            rankNext();
        }
        return scores[id(rank)];
    }

    private void rankNext() {
        int first = ids[0];
        unranked--;
        int last = ids[unranked];
        ids[unranked] = first;
        if (unranked > 0) {
            sink(0, last);
        }
    }

    @Override
    public int id(int rank) {
        return ids[ids.length - 1 - rank];
    }

    /** Puts an id into the heap at a free place or below it. */
    private void sink(int place, int id) {
        int free = place;
        for (int child = 2 * free + 1; child < unranked; child = 2 * free + 1) {
            if (child + 1 < unranked && isBefore(ids[child + 1], ids[child])) {
                child++;
            }
            if (isBefore(id, ids[child])) {
                break;
            }
            ids[free] = ids[child];
            free = child;
        }
        ids[free] = id;
    }

    private boolean isBefore(int a, int b) {
        return scores[a] > scores[b] || scores[a] == scores[b] && a < b;
    }
}

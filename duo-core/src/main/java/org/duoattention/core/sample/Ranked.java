package org.duoattention.core.sample;

/** Token ids by falling score, the lowest id first among equals. Ranks count from 0. */
interface Ranked {
    /** The score of a rank; ranks are asked for one after the other at first. */
    double score(int rank);

    /** The id of a rank whose score was asked for. */
    int id(int rank);
}

package org.duoattention.identify.report;

/**
 * How an optimisation went.
 *
 * @param name what tells it from others
 * @param distill distance between teacher and student in every step; not to be changed
 * @param regularisation mean magnitude of the gates in every step; not to be changed
 */
public record LossCurve(String name, double[] distill, double[] regularisation) {}

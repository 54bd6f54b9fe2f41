package org.duoattention.examples.cli.bench;

/**
 * The least that a phase has to read and to compute.
 *
 * @param bytes weights and cache, read once per chunk or decode step
 * @param flops multiplications and additions
 */
public record Work(double bytes, double flops) {
    /**
     * The shortest time that the machine allows (the roofline model of Williams, Waterman and Patterson, 2009).
     *
     * @param bandwidth bytes per second
     * @param peak floating-point operations per second
     */
    public double seconds(double bandwidth, double peak) {
        return Math.max(bytes / bandwidth, flops / peak);
    }

    Work plus(Work other) {
        return new Work(bytes + other.bytes, flops + other.flops);
    }
}

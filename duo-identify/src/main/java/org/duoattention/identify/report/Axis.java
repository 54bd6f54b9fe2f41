package org.duoattention.identify.report;

import java.util.List;
import java.util.Locale;
import java.util.stream.LongStream;

/**
 * An axis from {@code min} to {@code max} with ticks at multiples of a round step, whose labels have one format.
 *
 * @param title with the power of ten that labels are to be multiplied with, where there is one
 * @param unit what a label of 1 stands for
 */
record Axis(String title, double min, double max, double step, double unit) {
    private static final int MOST_STEPS = 5;
    private static final List<Double> ROUND = List.of(1.0, 2.0, 5.0, 10.0);
    /** A share of a step that is rounding. */
    private static final double ROUNDING = 1e-6;

    /** An axis that ends where it is told to. */
    static Axis to(String title, double min, double max) {
        double end = max > min ? max : min + 1;
        return scaled(title, min, end, step(min, end));
    }

    /** An axis that ends with a tick. */
    static Axis covering(String title, double min, double max) {
        double end = max > min ? max : min + 1;
        double step = step(min, end);
        return scaled(title, min, step * Math.ceil(end / step - ROUNDING), step);
    }

    private static double step(double min, double max) {
        double least = (max - min) / MOST_STEPS;
        double power = Math.pow(10, Math.floor(Math.log10(least)));
        return power
                * ROUND.stream()
                        .filter(round -> round * power >= least * (1 - ROUNDING))
                        .findFirst()
                        .orElse(10.0);
    }

    /** Labels of many zeros become small numbers with a power of ten in the title. */
    private static Axis scaled(String title, double min, double max, double step) {
        int exponent = (int) Math.floor(Math.log10(step));
        boolean plain = exponent >= -3 && exponent <= 5;
        return new Axis(plain ? title : title + ", 10^" + exponent, min, max, step, plain ? 1 : Math.pow(10, exponent));
    }

    /** The places of the ticks, ascending. */
    List<Double> ticks() {
        long first = (long) Math.ceil(min / step - ROUNDING);
        long last = (long) Math.floor(max / step + ROUNDING);
        return LongStream.rangeClosed(first, last).mapToObj(i -> i * step).toList();
    }

    /** The label of a tick. */
    String label(double tick) {
        return format(tick, decimals());
    }

    /** A value between ticks, one digit finer than these. */
    String value(double value) {
        return format(value, decimals() + 1);
    }

    private int decimals() {
        double scaled = step / unit;
        int decimals = 0;
        while (Math.abs(scaled - Math.rint(scaled)) > ROUNDING) {
            scaled *= 10;
            decimals++;
        }
        return decimals;
    }

    private String format(double value, int decimals) {
        return String.format(Locale.ROOT, "%,." + decimals + "f", value / unit);
    }

    /** Where a value lies between the ends, 0 to 1; what lies beyond is drawn at the end. */
    double share(double value) {
        return (Math.clamp(value, min, max) - min) / (max - min);
    }
}

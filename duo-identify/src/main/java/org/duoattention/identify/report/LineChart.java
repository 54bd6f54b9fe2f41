package org.duoattention.identify.report;

import java.util.List;
import java.util.Locale;

/** Draws lines as SVG, with a band of plus and minus one standard deviation where there is one. */
final class LineChart {
    private static final int WIDTH = 760;
    private static final int HEIGHT = 360;
    private static final int LEFT = 64;
    private static final int RIGHT = 150;
    private static final int TOP = 16;
    private static final int BOTTOM = 44;
    private static final int TICKS = 5;
    /** Told apart by people who see colours differently (Okabe and Ito's palette). */
    private static final List<String> COLOURS =
            List.of("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000");

    private final String xTitle;
    private final String yTitle;
    private final double xMax;
    private final double yMin;
    private final double yMax;
    private final StringBuilder body = new StringBuilder();
    private int lines;

    /** An empty chart; x begins at 0. */
    LineChart(String xTitle, String yTitle, double xMax, double yMin, double yMax) {
        this.xTitle = xTitle;
        this.yTitle = yTitle;
        this.xMax = xMax > 0 ? xMax : 1;
        this.yMin = yMin;
        this.yMax = yMax > yMin ? yMax : yMin + 1;
    }

    /**
     * Adds a line.
     *
     * @param x ascending
     * @param y one per x
     * @param spread half the height of the band, one per x
     * @param points whether each point is marked
     */
    LineChart line(String name, double[] x, double[] y, double[] spread, boolean points) {
        String colour = COLOURS.get(lines % COLOURS.size());
        StringBuilder band = new StringBuilder();
        StringBuilder line = new StringBuilder();
        boolean hasSpread = false;
        for (int i = 0; i < x.length; i++) {
            line.append(point(x[i], y[i]));
            band.append(point(x[i], y[i] + spread[i]));
            hasSpread |= spread[i] > 0;
        }
        if (hasSpread) {
            for (int i = x.length - 1; i >= 0; i--) {
                band.append(point(x[i], y[i] - spread[i]));
            }
            body.append(String.format(
                    Locale.ROOT, "<polygon points=\"%s\" fill=\"%s\" opacity=\"0.15\"/>%n", band, colour));
        }
        body.append(String.format(
                Locale.ROOT,
                "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>%n",
                line,
                colour));
        for (int i = 0; points && i < x.length; i++) {
            body.append(String.format(
                    Locale.ROOT,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%s: %.4g at %.4g</title></circle>%n",
                    x(x[i]),
                    y(y[i]),
                    colour,
                    Html.escape(name),
                    y[i],
                    x[i]));
        }
        legend(name, colour, "");
        lines++;
        return this;
    }

    /** Adds a dashed line across the chart. */
    LineChart level(String name, double y) {
        body.append(String.format(
                Locale.ROOT,
                "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#666\" stroke-dasharray=\"5 4\"/>%n",
                LEFT,
                y(y),
                WIDTH - RIGHT,
                y(y)));
        legend(name, "#666", " stroke-dasharray=\"5 4\"");
        lines++;
        return this;
    }

    private void legend(String name, String colour, String dash) {
        int y = TOP + 10 + 20 * lines;
        body.append(String.format(
                Locale.ROOT,
                "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"2\"%s/>"
                        + "<text x=\"%d\" y=\"%d\">%s</text>%n",
                WIDTH - RIGHT + 12,
                y - 4,
                WIDTH - RIGHT + 34,
                y - 4,
                colour,
                dash,
                WIDTH - RIGHT + 40,
                y,
                Html.escape(name)));
    }

    private String point(double x, double y) {
        return String.format(Locale.ROOT, "%.1f,%.1f ", x(x), y(y));
    }

    private double x(double value) {
        return LEFT + value / xMax * (WIDTH - LEFT - RIGHT);
    }

    private double y(double value) {
        double share = (Math.clamp(value, yMin, yMax) - yMin) / (yMax - yMin);
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
    }

    /** The SVG element. */
    String svg() {
        StringBuilder svg = new StringBuilder(String.format(
                Locale.ROOT,
                "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">%n",
                WIDTH,
                HEIGHT,
                WIDTH));
        for (int i = 0; i <= TICKS; i++) {
            double y = yMin + (yMax - yMin) * i / TICKS;
            double x = xMax * i / TICKS;
            svg.append(String.format(
                    Locale.ROOT,
                    "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>"
                            + "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>"
                            + "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>%n",
                    LEFT,
                    y(y),
                    WIDTH - RIGHT,
                    y(y),
                    LEFT - 6,
                    y(y) + 4,
                    y,
                    x(x),
                    HEIGHT - BOTTOM + 16,
                    x));
        }
        svg.append(String.format(
                Locale.ROOT,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>"
                        + "<text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>%n",
                (LEFT + WIDTH - RIGHT) / 2,
                HEIGHT - 8,
                Html.escape(xTitle),
                (TOP + HEIGHT - BOTTOM) / 2,
                Html.escape(yTitle)));
        return svg.append(body).append("</svg>").toString();
    }
}

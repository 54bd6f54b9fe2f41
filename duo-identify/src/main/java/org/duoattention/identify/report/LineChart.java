package org.duoattention.identify.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Draws lines as SVG, with a band of plus and minus one standard deviation where there is one. Lines that coincide are all
 * seen: each is narrower than the one before and lies on top of it, has dashes of its own, and marks of its own shape
 * that fit into those below. A single line has no legend.
 */
final class LineChart {
    private static final int PLOT = 546;
    private static final int HEIGHT = 360;
    private static final int LEFT = 64;
    private static final int TOP = 16;
    private static final int BOTTOM = 44;

    private static final int LEGEND_GAP = 16;
    private static final int LEGEND = LEFT + PLOT + LEGEND_GAP;
    private static final int LEGEND_LINE = 20;
    private static final int LEGEND_SAMPLE = 40;
    private static final int LEGEND_TEXT = LEGEND_GAP + LEGEND_SAMPLE + 8;
    /** Of an average letter; the whole only has to fit. */
    private static final double LETTER = 7.5;

    /** Told apart by people who see colours differently (Okabe and Ito's palette). */
    private static final List<String> COLOURS =
            List.of("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000");

    private static final List<String> DASHES = List.of("none", "14 6", "6 5", "3 3");
    private static final double WIDTH_STEP = 1.6;
    private static final double MARK_STEP = 1.7;
    private static final double FINEST_LINE = 2.2;
    private static final double FINEST_MARK = 3;

    private final Axis x;
    private final Axis y;
    private final List<Line> lines = new ArrayList<>();
    private Optional<Level> level = Optional.empty();

    /** An empty chart. */
    LineChart(Axis x, Axis y) {
        this.x = x;
        this.y = y;
    }

    private record Line(String name, double[] x, double[] y, double[] spread, boolean marked) {}

    private record Level(String name, double y) {}

    /**
     * Adds a line.
     *
     * @param xs ascending
     * @param ys one per x
     * @param spread half the height of the band, one per x
     * @param marked whether each point is marked
     */
    LineChart line(String name, double[] xs, double[] ys, double[] spread, boolean marked) {
        lines.add(new Line(name, xs, ys, spread, marked));
        return this;
    }

    /** Adds a thin line across the chart, on top of all others. */
    LineChart level(String name, double at) {
        level = Optional.of(new Level(name, at));
        return this;
    }

    /** The SVG element. */
    String svg() {
        StringBuilder svg = new StringBuilder();
        int width = LEFT + PLOT + (hasLegend() ? LEGEND_TEXT + longestName() : LEGEND_GAP);
        add(
                svg,
                "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">",
                width,
                HEIGHT,
                width);
        axes(svg);
        for (int i = 0; i < lines.size(); i++) {
            band(svg, i);
        }
        for (int i = 0; i < lines.size(); i++) {
            path(svg, i);
        }
        for (int i = 0; i < lines.size(); i++) {
            marks(svg, i);
        }
        level.ifPresent(at -> {
            rule(svg, LEFT, LEFT + PLOT, y(at.y()));
            legendText(svg, lines.size(), at.name());
            rule(svg, LEGEND, LEGEND + LEGEND_SAMPLE, legendY(lines.size()));
        });
        return svg.append("</svg>").toString();
    }

    private boolean hasLegend() {
        return lines.size() > 1 || level.isPresent();
    }

    private static String sample(int y) {
        return LEGEND + "," + y + " " + (LEGEND + LEGEND_SAMPLE) + "," + y;
    }

    private int longestName() {
        int letters =
                lines.stream().mapToInt(line -> line.name().length()).max().orElse(0);
        return (int) Math.ceil(
                LETTER * Math.max(letters, level.map(at -> at.name().length()).orElse(0)));
    }

    private void axes(StringBuilder svg) {
        for (double tick : y.ticks()) {
            add(
                    svg,
                    "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>"
                            + "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                    LEFT,
                    y(tick),
                    LEFT + PLOT,
                    y(tick),
                    LEFT - 12,
                    y(tick) + 4,
                    y.label(tick));
        }
        for (double tick : x.ticks()) {
            add(
                    svg,
                    "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#aaa\"/>"
                            + "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>",
                    x(tick),
                    HEIGHT - BOTTOM,
                    x(tick),
                    HEIGHT - BOTTOM + 4,
                    x(tick),
                    HEIGHT - BOTTOM + 21,
                    x.label(tick));
        }
        add(
                svg,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>"
                        + "<text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>",
                LEFT + PLOT / 2,
                HEIGHT - 8,
                Html.escape(x.title()),
                (TOP + HEIGHT - BOTTOM) / 2,
                Html.escape(y.title()));
    }

    private void band(StringBuilder svg, int index) {
        Line line = lines.get(index);
        if (Arrays.stream(line.spread()).allMatch(half -> half == 0)) {
            return;
        }
        StringBuilder points = new StringBuilder();
        for (int i = 0; i < line.x().length; i++) {
            points.append(point(line.x()[i], line.y()[i] + line.spread()[i]));
        }
        for (int i = line.x().length - 1; i >= 0; i--) {
            points.append(point(line.x()[i], line.y()[i] - line.spread()[i]));
        }
        add(svg, "<polygon points=\"%s\" fill=\"%s\" opacity=\"0.15\"/>", points, colour(index));
    }

    private void path(StringBuilder svg, int index) {
        Line line = lines.get(index);
        StringBuilder points = new StringBuilder();
        for (int i = 0; i < line.x().length; i++) {
            points.append(point(line.x()[i], line.y()[i]));
        }
        stroke(svg, index, points.toString());
        if (hasLegend()) {
            legendText(svg, index, line.name());
            stroke(svg, index, sample(legendY(index)));
        }
    }

    private void stroke(StringBuilder svg, int index, String points) {
        add(
                svg,
                "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" stroke-dasharray=\"%s\"/>",
                points,
                colour(index),
                FINEST_LINE + WIDTH_STEP * (lines.size() - 1 - index),
                DASHES.get(index % DASHES.size()));
    }

    private void marks(StringBuilder svg, int index) {
        Line line = lines.get(index);
        if (!line.marked()) {
            return;
        }
        for (int i = 0; i < line.x().length; i++) {
            String title = line.name() + ": " + y.value(line.y()[i]) + " at " + x.value(line.x()[i]);
            mark(svg, index, x(line.x()[i]), y(line.y()[i]), title);
        }
        if (hasLegend()) {
            mark(svg, index, LEGEND + LEGEND_SAMPLE / 2.0, legendY(index), line.name());
        }
    }

    /** A circle, square, diamond or triangle with a white rim; all corners lie on a circle. */
    private void mark(StringBuilder svg, int index, double centreX, double centreY, String title) {
        double radius = FINEST_MARK + MARK_STEP * (lines.size() - 1 - index);
        StringBuilder path = new StringBuilder();
        int corners = List.of(36, 4, 4, 3).get(index % DASHES.size());
        double turn = List.of(0.0, Math.PI / 4, 0.0, -Math.PI / 2).get(index % DASHES.size());
        for (int i = 0; i < corners; i++) {
            double angle = turn + 2 * Math.PI * i / corners;
            path.append(String.format(
                    Locale.ROOT, "%.1f,%.1f ", centreX + radius * Math.cos(angle), centreY + radius * Math.sin(angle)));
        }
        add(
                svg,
                "<polygon points=\"%s\" fill=\"%s\" stroke=\"#fff\" stroke-width=\"0.8\"><title>%s</title></polygon>",
                path,
                colour(index),
                Html.escape(title));
    }

    private static void rule(StringBuilder svg, double from, double to, double at) {
        add(
                svg,
                "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#000\" stroke-width=\"0.8\""
                        + " stroke-dasharray=\"5 4\"/>",
                from,
                at,
                to,
                at);
    }

    private static void legendText(StringBuilder svg, int index, String name) {
        add(svg, "<text x=\"%d\" y=\"%d\">%s</text>", LEFT + PLOT + LEGEND_TEXT, legendY(index) + 4, Html.escape(name));
    }

    private static int legendY(int index) {
        return TOP + 8 + LEGEND_LINE * index;
    }

    private static String colour(int index) {
        return COLOURS.get(index % COLOURS.size());
    }

    private String point(double atX, double atY) {
        return String.format(Locale.ROOT, "%.1f,%.1f ", x(atX), y(atY));
    }

    private double x(double value) {
        return LEFT + x.share(value) * PLOT;
    }

    private double y(double value) {
        return HEIGHT - BOTTOM - y.share(value) * (HEIGHT - TOP - BOTTOM);
    }

    private static void add(StringBuilder svg, String format, Object... values) {
        svg.append(String.format(Locale.ROOT, format, values)).append('\n');
    }
}

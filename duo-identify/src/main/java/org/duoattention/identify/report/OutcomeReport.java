package org.duoattention.identify.report;

import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.stream.IntStream;

/**
 * A report as one HTML file that needs no other: tables, plots as SVG, heat maps as embedded PNG.
 *
 * @param title of the report
 * @param settings what decides the results, by name
 * @param tasks accuracy by share of heads kept
 * @param candidates patterns whose scores are shown
 * @param losses how optimisations went; may be empty
 */
public record OutcomeReport(
        String title,
        Map<String, String> settings,
        List<TaskOutcome> tasks,
        List<Candidate> candidates,
        List<LossCurve> losses) {
    /** Steps that a point of a loss curve is the mean of, at most; single steps depend on their sequences. */
    private static final int SMOOTHING = 20;

    private static final String STYLE = """
            body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222;background:#fff}
            table{border-collapse:collapse;margin:1em 0}
            th,td{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd}
            th:first-child,td:first-child{text-align:left}
            .settings td{text-align:left}
            svg{max-width:100%;height:auto}
            svg text{font:12px system-ui,sans-serif;fill:#333}
            figure{display:inline-block;margin:.5em 1em .5em 0}
            figcaption{color:#555}
            .scroll{overflow-x:auto}
            .scroll td,.scroll th{white-space:nowrap}
            """;

    /** The file's content. */
    public String html() {
        StringBuilder html = new StringBuilder("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n")
                .append("<meta name=\"viewport\" content=\"width=device-width\">\n")
                .append("<title>")
                .append(Html.escape(title))
                .append("</title>\n<style>\n")
                .append(STYLE)
                .append("</style></head><body>\n<h1>")
                .append(Html.escape(title))
                .append("</h1>\n");
        settings(html);
        if (!tasks.isEmpty()) {
            smallest(html);
            tasks.forEach(task -> task(html, task));
        }
        heatMaps(html);
        losses.forEach(loss -> loss(html, loss));
        return html.append("</body></html>\n").toString();
    }

    private void settings(StringBuilder html) {
        html.append("<table class=\"settings\">\n");
        settings.forEach((name, value) -> html.append("<tr><td>")
                .append(Html.escape(name))
                .append("</td><td>")
                .append(Html.escape(value))
                .append("</td></tr>\n"));
        html.append("</table>\n");
    }

    private void smallest(StringBuilder html) {
        html.append(
                "<h2>Smallest share of heads that keeps 99 % of full accuracy</h2>\n<div class=\"scroll\"><table><tr><th>task</th>"
                        + "<th>full accuracy</th><th>no head kept</th>");
        List<String> scorers =
                tasks.getFirst().curves().stream().map(AccuracyCurve::scorer).toList();
        scorers.forEach(
                scorer -> html.append("<th>").append(Html.escape(scorer)).append("</th>"));
        html.append("</tr>\n");
        for (TaskOutcome task : tasks) {
            html.append("<tr><td>").append(Html.escape(name(task))).append("</td>");
            html.append(cell(percent(task.full()))).append(cell(percent(task.streaming())));
            for (AccuracyCurve curve : task.curves()) {
                OptionalDouble share = curve.smallest(TaskOutcome.ENOUGH * task.full());
                html.append(cell(share.isPresent() ? percent(share.getAsDouble()) : "none"));
            }
            html.append("</tr>\n");
        }
        html.append("</table></div>\n");
    }

    private static void task(StringBuilder html, TaskOutcome task) {
        html.append("<h2>Accuracy by share of heads kept: ")
                .append(Html.escape(name(task)))
                .append("</h2>\n<p>Exact match of all words, ")
                .append(task.samples())
                .append(" questions per point; mean and standard deviation over the patterns of a scorer.</p>\n");
        LineChart chart = new LineChart(Axis.to("KV heads kept, %", 0, 100), Axis.to("exact answers, %", 0, 100));
        for (AccuracyCurve curve : task.curves()) {
            chart.line(
                    label(curve),
                    curve.fractions().stream().mapToDouble(f -> 100 * f).toArray(),
                    IntStream.range(0, curve.fractions().size())
                            .mapToDouble(i -> 100 * curve.mean(i))
                            .toArray(),
                    IntStream.range(0, curve.fractions().size())
                            .mapToDouble(i -> 100 * curve.deviation(i))
                            .toArray(),
                    true);
        }
        chart.level("full attention", 100 * task.full());
        html.append(chart.svg()).append("\n<div class=\"scroll\"><table><tr><th>kept</th>");
        task.curves()
                .forEach(curve ->
                        html.append("<th>").append(Html.escape(label(curve))).append("</th>"));
        html.append("</tr>\n");
        List<Double> fractions = task.curves().getFirst().fractions();
        for (int i = 0; i < fractions.size(); i++) {
            html.append("<tr><td>").append(percent(fractions.get(i))).append("</td>");
            for (AccuracyCurve curve : task.curves()) {
                html.append(cell(
                        curve.patterns() == 1
                                ? percent(curve.mean(i))
                                : String.format(
                                        Locale.ROOT, "%.1f ± %.1f %%", 100 * curve.mean(i), 100 * curve.deviation(i))));
            }
            html.append("</tr>\n");
        }
        html.append("</table></div>\n");
    }

    private void heatMaps(StringBuilder html) {
        html.append("<h2>Scores by layer and KV head</h2>\n<p>Dark is 1, a retrieval head; light is 0.</p>\n");
        for (Candidate candidate : candidates) {
            html.append("<figure><img alt=\"heat map\" src=\"data:image/png;base64,")
                    .append(Base64.getEncoder().encodeToString(GateImage.png(candidate.pattern())))
                    .append("\"><figcaption>")
                    .append(Html.escape(candidate.scorer() + " " + candidate.name()))
                    .append("</figcaption></figure>\n");
        }
    }

    private static void loss(StringBuilder html, LossCurve loss) {
        double[] distill = smoothed(loss.distill());
        double[] gates = smoothed(loss.regularisation());
        double[] steps =
                IntStream.rangeClosed(1, distill.length).mapToDouble(i -> i).toArray();
        double[] none = new double[distill.length];
        html.append("<h2>Optimisation: ").append(Html.escape(loss.name())).append("</h2>\n");
        html.append("<p>Distance between teacher and student, running mean.</p>\n")
                .append(new LineChart(Axis.to("step", 0, distill.length), Axis.covering("distance", 0, max(distill)))
                        .line("distance", steps, distill, none, false)
                        .svg())
                .append("\n<p>Mean of the gates.</p>\n")
                .append(new LineChart(Axis.to("step", 0, gates.length), Axis.to("mean gate", 0, 1))
                        .line("mean gate", steps, gates, none, false)
                        .svg())
                .append('\n');
    }

    private static double max(double[] values) {
        return Arrays.stream(values).max().orElse(1);
    }

    private static double[] smoothed(double[] values) {
        return IntStream.range(0, values.length)
                .mapToDouble(i -> Arrays.stream(values, Math.max(0, i + 1 - SMOOTHING), i + 1)
                        .average()
                        .orElse(0))
                .toArray();
    }

    private static String name(TaskOutcome task) {
        return task.task() + ", " + task.needles() + (task.needles() == 1 ? " passkey" : " passkeys") + " in "
                + String.format(Locale.ROOT, "%,d", task.context()) + " tokens";
    }

    private static String label(AccuracyCurve curve) {
        return curve.patterns() == 1 ? curve.scorer() : curve.scorer() + " (" + curve.patterns() + ")";
    }

    private static String cell(String text) {
        return "<td>" + text + "</td>";
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }
}

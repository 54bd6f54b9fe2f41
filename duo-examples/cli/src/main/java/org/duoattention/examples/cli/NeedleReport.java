package org.duoattention.examples.cli;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** What a needle run found, as a table, as heat maps and as JSON. */
final class NeedleReport {
    private final NeedleGrid grid;
    private final List<String> policies;
    private final ObjectNode settings;
    private final List<NeedleResult> results;

    /**
     * A report.
     *
     * @param settings everything that decides the results; becomes the head of the JSON
     */
    NeedleReport(NeedleGrid grid, List<String> policies, ObjectNode settings, List<NeedleResult> results) {
        this.grid = grid;
        this.policies = policies;
        this.settings = settings;
        this.results = List.copyOf(results);
    }

    private List<NeedleResult> of(String policy, int context) {
        return results.stream()
                .filter(result -> result.policy().equals(policy) && result.context() == context)
                .toList();
    }

    private List<NeedleSummary> summary() {
        List<NeedleSummary> summary = new ArrayList<>();
        for (int context : grid.contexts()) {
            for (String policy : policies) {
                summary.add(NeedleSummary.of(of(policy, context)));
            }
        }
        return summary;
    }

    /** Prints a row per context and policy. */
    void printTable(PrintStream out) {
        int width = Math.max(6, policies.stream().mapToInt(String::length).max().orElse(0));
        String row = "%8s  %-" + width + "s  %8s  %14s  %14s  %12s%n";
        out.printf(Locale.ROOT, row, "context", "policy", "accuracy", "KV bytes", "prefill tok/s", "decode ms");
        for (NeedleSummary line : summary()) {
            out.printf(
                    Locale.ROOT,
                    row,
                    line.context(),
                    line.policy(),
                    String.format(Locale.ROOT, "%.1f %%", 100 * line.accuracy()),
                    String.format(Locale.ROOT, "%,d", line.kvBytes()),
                    String.format(Locale.ROOT, "%,.0f", line.prefillTokensPerSecond()),
                    String.format(Locale.ROOT, "%.2f", line.decodeMillisPerToken()));
        }
    }

    /** A PNG of one policy. */
    byte[] heatMap(String policy) {
        double[][] accuracy = new double[grid.contexts().size()][grid.depths().size()];
        for (int column = 0; column < accuracy.length; column++) {
            List<NeedleResult> context = of(policy, grid.contexts().get(column));
            for (int line = 0; line < accuracy[column].length; line++) {
                double depth = grid.depths().get(line);
                accuracy[column][line] = NeedleSummary.accuracy(context.stream()
                        .filter(result -> result.depth() == depth)
                        .toList());
            }
        }
        return HeatMap.png("% of passkeys found, policy " + policy, grid.contexts(), grid.depths(), accuracy);
    }

    /** Settings, results and summary. */
    ObjectNode json() {
        ObjectNode json = settings.deepCopy();
        ArrayNode all = json.putArray("results");
        for (NeedleResult result : results) {
            all.addObject()
                    .put("policy", result.policy())
                    .put("context", result.context())
                    .put("depth", result.depth())
                    .put("sample", result.sample())
                    .put("exact", result.exact())
                    .put("expected", result.expected())
                    .put("answer", result.answer())
                    .put("promptTokens", result.promptTokens())
                    .put("needleToken", result.needleToken());
        }
        ArrayNode lines = json.putArray("summary");
        for (NeedleSummary line : summary()) {
            lines.addObject()
                    .put("policy", line.policy())
                    .put("context", line.context())
                    .put("prompts", line.prompts())
                    .put("accuracy", line.accuracy())
                    .put("kvBytes", line.kvBytes())
                    .put("prefillTokensPerSecond", line.prefillTokensPerSecond())
                    .put("decodeMillisPerToken", line.decodeMillisPerToken());
        }
        return json;
    }
}

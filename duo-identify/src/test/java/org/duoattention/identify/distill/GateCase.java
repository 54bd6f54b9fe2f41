package org.duoattention.identify.distill;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.duoattention.api.tensor.DType;
import org.duoattention.identify.data.TrainingSequence;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * One identification step as an independent implementation computed it: {@code gates} in the {@code expected.json} of the
 * checkpoints that lie outside the repository.
 */
record GateCase(
        Path directory,
        TrainingSequence sequence,
        double[][] gates,
        int sinks,
        int recent,
        double regWeight,
        double loss,
        double distill,
        double reg,
        double[][] gradient) {
    static GateCase read(String name) {
        Path directory = Path.of(System.getProperty("duo.shared", "../shared"), "models", name);
        assumeTrue(Files.isDirectory(directory), () -> "skipped: there is no " + directory);
        JsonNode node =
                JsonMapper.shared().readTree(directory.resolve("expected.json")).get("gates");
        return new GateCase(
                directory,
                new TrainingSequence(ints(node.get("ids")), ints(node.get("labels"))),
                rows(node.get("gates")),
                node.get("sink").intValue(),
                node.get("recent").intValue(),
                node.get("reg_weight").doubleValue(),
                node.get("loss").doubleValue(),
                node.get("distill").doubleValue(),
                node.get("reg").doubleValue(),
                rows(node.get("grad")));
    }

    /**
     * The precision of RoPE frequencies that the answers were computed with: four of the models were cast to half precision
     * as a whole, frequencies included.
     */
    static DType ropePrecision(String name) {
        return switch (name) {
            case "llama-mha-f16" -> DType.F16;
            case "llama-gqa", "llama31-rope", "qwen2-bias" -> DType.BF16;
            default -> DType.F32;
        };
    }

    StepSettings settings(BlendRule blend, int block) {
        return new StepSettings(sinks, recent, blend, regWeight, block);
    }

    private static int[] ints(JsonNode node) {
        int[] values = new int[node.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = node.get(i).intValue();
        }
        return values;
    }

    private static double[][] rows(JsonNode node) {
        double[][] rows = new double[node.size()][];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = new double[node.get(i).size()];
            for (int j = 0; j < rows[i].length; j++) {
                rows[i][j] = node.get(i).get(j).doubleValue();
            }
        }
        return rows;
    }
}

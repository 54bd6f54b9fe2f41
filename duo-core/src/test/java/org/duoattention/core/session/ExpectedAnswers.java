package org.duoattention.core.session;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What an independent implementation computed for a checkpoint: its {@code expected.json}. */
record ExpectedAnswers(List<Full> prompts, List<Streaming> duo) {
    record Full(int[] ids, float[] logits, int[] greedy) {}

    record Streaming(HeadMask mask, int sinks, int recent, int chunk, int[] ids, float[] logits, int[] greedy) {}

    static ExpectedAnswers read(Path directory) {
        JsonNode root = JsonMapper.shared().readTree(directory.resolve("expected.json"));
        List<Full> prompts = new ArrayList<>();
        for (JsonNode node : root.get("prompts")) {
            prompts.add(new Full(ints(node.get("ids")), floats(node.get("logits_last")), ints(node.get("greedy"))));
        }
        List<Streaming> duo = new ArrayList<>();
        for (JsonNode node : root.get("duo")) {
            duo.add(new Streaming(
                    mask(node.get("mask")),
                    node.get("sink").intValue(),
                    node.get("recent").intValue(),
                    node.get("chunk").intValue(),
                    ints(node.get("ids")),
                    floats(node.get("logits_last")),
                    ints(node.get("greedy"))));
        }
        return new ExpectedAnswers(prompts, duo);
    }

    private static HeadMask mask(JsonNode node) {
        List<HeadSet> layers = new ArrayList<>();
        for (JsonNode row : node) {
            List<Integer> heads = new ArrayList<>();
            for (int head = 0; head < row.size(); head++) {
                if (row.get(head).intValue() == 1) {
                    heads.add(head);
                }
            }
            layers.add(HeadSet.of(heads.stream().mapToInt(Integer::intValue).toArray()));
        }
        return HeadMask.of(node.get(0).size(), layers);
    }

    private static int[] ints(JsonNode node) {
        int[] values = new int[node.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = node.get(i).intValue();
        }
        return values;
    }

    private static float[] floats(JsonNode node) {
        float[] values = new float[node.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = node.get(i).floatValue();
        }
        return values;
    }
}

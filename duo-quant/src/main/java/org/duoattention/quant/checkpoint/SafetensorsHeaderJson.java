package org.duoattention.quant.checkpoint;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.stream.Collectors;

/** The JSON header of a safetensors file, padded with spaces so that the data after it is aligned to eight bytes. */
final class SafetensorsHeaderJson {
    static final String METADATA = "__metadata__";

    private SafetensorsHeaderJson() {}

    static byte[] encode(Map<String, SafetensorsWriter.Region> regions, Map<String, String> metadata) {
        StringBuilder json = new StringBuilder("{");
        if (!metadata.isEmpty()) {
            json.append(quoted(METADATA))
                    .append(metadata.entrySet().stream()
                            .map(entry -> quoted(entry.getKey()) + ":" + quoted(entry.getValue()))
                            .collect(Collectors.joining(",", ":{", "}")));
        }
        regions.forEach((name, region) -> json.append(json.length() == 1 ? "" : ",")
                .append(quoted(name))
                .append(":{\"dtype\":\"")
                .append(region.spec.dtype().name())
                .append("\",\"shape\":")
                .append(region.spec.shape().stream().map(String::valueOf).collect(Collectors.joining(",", "[", "]")))
                .append(",\"data_offsets\":[")
                .append(region.begin)
                .append(',')
                .append(region.end)
                .append("]}"));
        json.append('}');
        int bytes = json.toString().getBytes(StandardCharsets.UTF_8).length;
        json.repeat(' ', Math.floorMod(-bytes, Long.BYTES));
        return json.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        text.chars().forEach(c -> {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append((char) c);
            } else if (c < ' ') {
                quoted.append(String.format("\\u%04x", c));
            } else {
                quoted.append((char) c);
            }
        });
        return quoted.append('"').toString();
    }
}

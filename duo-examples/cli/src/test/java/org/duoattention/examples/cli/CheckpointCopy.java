package org.duoattention.examples.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** A copy of the embedded checkpoint for tests to damage. */
final class CheckpointCopy {
    private static final String WEIGHTS = "model.safetensors";

    final Path directory;

    private CheckpointCopy(Path directory) {
        this.directory = directory;
    }

    static CheckpointCopy in(Path parent) {
        try {
            Path directory = Files.createDirectory(parent.resolve("checkpoint"));
            for (String file : List.of(
                    "config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json")) {
                Files.copy(Cli.NANO.resolve(file), directory.resolve(file));
            }
            return new CheckpointCopy(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    CheckpointCopy delete(String file) {
        return edit(() -> Files.delete(directory.resolve(file)));
    }

    CheckpointCopy write(String file, String content) {
        return edit(() -> Files.writeString(directory.resolve(file), content));
    }

    CheckpointCopy config(Consumer<ObjectNode> change) {
        return edit(() -> {
            Path file = directory.resolve("config.json");
            ObjectNode config = (ObjectNode) JsonMapper.shared().readTree(file);
            change.accept(config);
            Files.writeString(file, config.toString());
        });
    }

    CheckpointCopy weights(UnaryOperator<byte[]> change) {
        return edit(() -> {
            Path file = directory.resolve(WEIGHTS);
            byte[] changed = change.apply(Files.readAllBytes(file));
            Files.write(file, changed);
        });
    }

    /** Changes the JSON header and its length, not the data behind it. */
    CheckpointCopy header(Consumer<ObjectNode> change) {
        return weights(bytes -> {
            int length =
                    (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
            ObjectNode header = (ObjectNode) JsonMapper.shared().readTree(bytes, 8, length);
            change.accept(header);
            byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
            ByteBuffer whole = ByteBuffer.allocate(8 + text.length + bytes.length - 8 - length)
                    .order(ByteOrder.LITTLE_ENDIAN);
            return whole.putLong(text.length)
                    .put(text)
                    .put(Arrays.copyOfRange(bytes, 8 + length, bytes.length))
                    .array();
        });
    }

    private interface Edit {
        void run() throws IOException;
    }

    private CheckpointCopy edit(Edit edit) {
        try {
            edit.run();
            return this;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

package org.duoattention.identify.train;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.head.PatternDirectory;
import org.duoattention.core.json.JsonFile;
import org.duoattention.core.json.JsonObject;
import org.duoattention.core.json.Quoted;
import org.jspecify.annotations.Nullable;

/**
 * The state of a run in its output directory. It is replaced as a whole or not at all, so that a process may be killed at any
 * moment; numbers come back to the bit.
 */
final class StateFile {
    private static final String NAME = "identify_state.json";
    private static final String RUN = "run";
    private static final String STEP = "step";

    private final Path directory;
    private final Path file;
    private final RunDescription run;
    private final ModelShape shape;

    StateFile(Path directory, RunDescription run, ModelShape shape) {
        this.directory = directory;
        this.file = directory.resolve(NAME);
        this.run = run;
        this.shape = shape;
    }

    /**
     * The state that the run was left in, if it was begun.
     *
     * @throws DuoException when the directory holds the state of another run, a pattern without a state, or a file that
     *     cannot be understood
     */
    Optional<TrainingState> read() {
        if (!Files.exists(file)) {
            if (Files.exists(directory.resolve(PatternDirectory.SCORES))) {
                throw new DuoException(directory + " holds a head pattern that no run of identification left there;"
                        + " choose another output directory");
            }
            return Optional.empty();
        }
        JsonObject state = JsonFile.read(file);
        RunDescription other = new RunDescription(described(state));
        run.differenceFrom(other).ifPresent(difference -> {
            throw new DuoException(directory + " holds the state of another run: " + difference
                    + "; choose another output directory, or the settings of that run to go on with it");
        });
        int step = state.requiredInteger(STEP, 0, Integer.MAX_VALUE);
        Map<String, @Nullable Object> values = state.toMap();
        return Optional.of(new TrainingState(
                step,
                heads(values, "gates"),
                heads(values, "first"),
                heads(values, "second"),
                numbers(values.get("distill"), step, "distill"),
                numbers(values.get("regularisation"), step, "regularisation")));
    }

    private Map<String, Object> described(JsonObject state) {
        Map<String, Object> plain = new LinkedHashMap<>();
        state.object(RUN).orElseThrow(() -> damaged(RUN)).toMap().forEach((name, value) -> {
            if (value != null) {
                plain.put(name, value);
            }
        });
        return plain;
    }

    private double[][] heads(Map<String, @Nullable Object> values, String key) {
        if (!(values.get(key) instanceof List<?> rows) || rows.size() != shape.layers()) {
            throw damaged(key);
        }
        return rows.stream().map(row -> numbers(row, shape.kvHeads(), key)).toArray(double[][]::new);
    }

    private double[] numbers(@Nullable Object value, int count, String key) {
        if (!(value instanceof List<?> list) || list.size() != count) {
            throw damaged(key);
        }
        return list.stream()
                .mapToDouble(number -> number instanceof Number n ? n.doubleValue() : Double.NaN)
                .peek(number -> {
                    if (!Double.isFinite(number)) {
                        throw damaged(key);
                    }
                })
                .toArray();
    }

    private DuoException damaged(String key) {
        return new DuoException(file + ": " + key + " is not what a run writes; remove the file to begin anew");
    }

    /**
     * Replaces the state.
     *
     * @throws DuoException when it cannot be written
     */
    void write(TrainingState state) {
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        values.put(STEP, state.step());
        values.put(RUN, run.values());
        values.put("gates", state.gates());
        values.put("first", state.first());
        values.put("second", state.second());
        values.put("distill", state.distill());
        values.put("regularisation", state.regularisation());
        Path part = file.resolveSibling(NAME + ".part");
        try {
            Files.createDirectories(directory);
            try (FileChannel channel = FileChannel.open(
                    part, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
                ByteBuffer bytes = ByteBuffer.wrap(JsonFile.format(values).getBytes(StandardCharsets.UTF_8));
                while (bytes.hasRemaining()) {
                    channel.write(bytes);
                }
                // On disk before its name is: a power failure leaves the old state or the new one too.
                channel.force(true);
            }
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new DuoException(
                    file + ": cannot be written: " + Quoted.of(String.valueOf(e.getMessage()))
                            + "; choose an output directory that can be written",
                    e);
        }
    }
}

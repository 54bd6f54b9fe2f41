package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.duoattention.api.backend.Device;
import org.duoattention.core.DuoException;
import org.duoattention.core.quantize.CheckpointQuantizer;
import org.duoattention.core.quantize.MatrixFormat;
import org.duoattention.core.quantize.QuantizationSettings;
import org.duoattention.core.quantize.Rescaling;
import org.duoattention.core.session.Duo;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code duo quantize}: writes a checkpoint with weights of 4 or 8 bits. */
@Command(
        name = "quantize",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Writes a copy of a checkpoint with weights of 4 or 8 bits, in the pack-quantized format of compressed-tensors,"
                    + " which is that of vLLM and transformers (not tried there).",
            "Each group of weights gets the scale that makes its squared error least. The checkpoint appears when it is"
                    + " complete; an interrupted run leaves nothing behind."
        })
final class QuantizeCommand implements Callable<Integer> {
    private static final int DEFAULT_GROUP = 128;
    private static final int PROGRESS_LINES = 10;
    /** With so many bits it pays to calibrate. */
    private static final int ROUGH_BITS = 4;

    private final Console console;

    @Option(names = "--model", paramLabel = "DIR", required = true, description = "Checkpoint directory.")
    private Path model = Path.of("");

    @Option(
            names = "--weights",
            paramLabel = "int4|int8",
            required = true,
            description = "Bits of the linear layers of the decoder.")
    private String weights = "";

    @Option(
            names = "--group",
            paramLabel = "32|64|128|row",
            description = "Weights that share a scale (default: 128 for int4, a whole row for int8).")
    private @Nullable String group;

    @Option(names = "--asymmetric", description = "Give every group a zero point too.")
    private boolean asymmetric;

    @Option(
            names = "--lm-head",
            paramLabel = "keep|int8|int4",
            defaultValue = "keep",
            description = "The output layer: int8 by rows, int4 by groups as above (default: ${DEFAULT-VALUE}).")
    private String head = "keep";

    @Option(
            names = "--embedding",
            paramLabel = "keep|int8|int4",
            defaultValue = "keep",
            description = "The embedding table, likewise (default: ${DEFAULT-VALUE}).")
    private String embedding = "keep";

    @Mixin
    private CalibrationOptions calibration = new CalibrationOptions();

    @Option(names = "--out", paramLabel = "DIR", required = true, description = "A new or an empty directory.")
    private Path out = Path.of("");

    @Option(names = "--quiet", description = "No progress.")
    private boolean quiet;

    @Mixin
    private JsonOption json = new JsonOption();

    QuantizeCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        QuantizationSettings settings = settings();
        json.check();
        Outputs.checkDirectory(out, "--out");
        Optional<CalibrationOptions.Source> text = calibration.source(model);
        long start = System.nanoTime();
        try (CheckpointQuantizer quantizer = CheckpointQuantizer.open(model, settings)) {
            int calibrated = write(quantizer, text);
            double seconds = (System.nanoTime() - start) / 1e9;
            json.console(console)
                    .out()
                    .printf(
                            Locale.ROOT,
                            "%s: %s; %,d bytes of weights instead of %,d (%.1f s)%n",
                            out,
                            settings.linears(),
                            quantizer.targetBytes(),
                            quantizer.sourceBytes(),
                            seconds);
            json.write(
                    JsonOption.object()
                            .put("model", model.toString())
                            .put("out", out.toString())
                            .put("bits", settings.linears().bits())
                            .put("group", settings.linears().group())
                            .put("asymmetric", asymmetric)
                            .put("calibrationTokens", calibrated)
                            .put("sourceBytes", quantizer.sourceBytes())
                            .put("targetBytes", quantizer.targetBytes())
                            .put("seconds", seconds),
                    console);
        }
        if (text.isEmpty() && settings.linears().bits() == ROUGH_BITS && !quiet) {
            console.err()
                    .println(
                            "rounded to nearest, which loses most with 4 bits: --calibrate FILE keeps more, and so does"
                                    + " --calibrate self, which needs no text; 'duo eval perplexity' measures what is lost");
        }
        return ExitCode.OK;
    }

    private Rescaling rescaling(CheckpointQuantizer quantizer, Duo duo, int[] ids) throws InterruptedException {
        long steps = quantizer.calibrationSteps(ids.length);
        try (Progress progress = new Progress(console, quiet, "calibrate", steps, " steps");
                Device device = duo.backends().open(quantizer.requirements(), Optional.empty(), Map.of())) {
            progress.line("calibrate: reading " + ids.length + " tokens");
            Rescaling found = quantizer.calibrate(device, ids, progress::add);
            progress.line("calibrate: done");
            return found;
        }
    }

    /** Returns the tokens of calibration. */
    private int write(CheckpointQuantizer quantizer, Optional<CalibrationOptions.Source> text) {
        long total = quantizer.sourceBytes();
        long[] done = {0};
        try {
            Rescaling rescaling = Rescaling.NONE;
            int[] ids = {};
            if (text.isPresent()) {
                Duo duo = Wiring.duo();
                ids = text.get().ids(duo, console, quiet);
                rescaling = rescaling(quantizer, duo, ids);
            }
            try (Progress progress = new Progress(console, quiet, "quantize", total, " bytes")) {
                quantizer.write(out, rescaling, bytes -> {
                    progress.add(bytes);
                    long before = done[0];
                    done[0] += bytes;
                    if (done[0] * PROGRESS_LINES / total > before * PROGRESS_LINES / total) {
                        progress.line(String.format(Locale.ROOT, "quantize: %,d of %,d bytes", done[0], total));
                    }
                });
            }
            return ids.length;
        } catch (InterruptedException e) {
            throw new Interruption("interrupted; nothing was written to " + out, e);
        }
    }

    private QuantizationSettings settings() {
        int bits = bits("--weights", weights);
        MatrixFormat linears = new MatrixFormat(bits, groupOf(bits), asymmetric);
        return new QuantizationSettings(
                linears,
                own("--lm-head", head),
                own("--embedding", embedding),
                QuantizationSettings.DEFAULT_SHARD_BYTES,
                Runtime.getRuntime().availableProcessors());
    }

    private Optional<MatrixFormat> own(String option, String value) {
        if (value.equals("keep")) {
            return Optional.empty();
        }
        int bits = bits(option, value);
        int size = bits == 8 ? MatrixFormat.ROW : "row".equals(group) ? DEFAULT_GROUP : groupOf(bits);
        return Optional.of(new MatrixFormat(bits, size, asymmetric));
    }

    private static int bits(String option, String value) {
        return switch (value.toLowerCase(Locale.ROOT)) {
            case "int4" -> 4;
            case "int8" -> 8;
            default ->
                throw new DuoException(option + " is '" + value + "', expected "
                        + (option.equals("--weights") ? "int4 or int8" : "keep, int8 or int4"));
        };
    }

    private int groupOf(int bits) {
        if (group == null) {
            return bits == 4 ? DEFAULT_GROUP : MatrixFormat.ROW;
        }
        return switch (group.toLowerCase(Locale.ROOT)) {
            case "32" -> 32;
            case "64" -> 64;
            case "128" -> 128;
            case "row" -> {
                if (bits == 4) {
                    throw new DuoException("--group row is too coarse for int4; choose 32, 64 or 128");
                }
                yield MatrixFormat.ROW;
            }
            default -> throw new DuoException("--group is '" + group + "', expected 32, 64, 128 or row");
        };
    }
}

package org.duoattention.examples.cli;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.core.DuoException;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.PatternDirectory;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.source.ModelFingerprint;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.identify.data.MultiPasskeyData;
import org.duoattention.identify.distill.FrozenModel;
import org.duoattention.identify.report.Candidate;
import org.duoattention.identify.report.LossCurve;
import org.duoattention.identify.report.OutcomeReport;
import org.duoattention.identify.text.HaystackText;
import org.duoattention.identify.train.GateTraining;
import org.duoattention.identify.train.RunDescription;
import org.duoattention.identify.train.TrainingOutcome;
import org.duoattention.identify.train.TrainingSettings;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ObjectNode;

/** {@code duo identify}: finds the retrieval heads of a model. */
@Command(
        name = "identify",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Finds the retrieval heads of a model: a gate per KV head blends full and streaming attention, and is optimised"
                    + " on synthetic passkeys so that the model's states stay and the gates close.",
            "Writes full_attention_heads.tsv and config.json, which --heads of other commands and the authors' tools read."
                    + " A run that was interrupted or killed goes on when the same command is run again.",
            "Without --model a small model that comes with the program is used."
        })
final class IdentifyCommand implements Callable<Integer> {
    private static final List<String> COMPARED = List.of("profiling", "on-the-fly", "random");
    private static final int COMPARED_SEEDS = 3;
    private static final int COMPARED_SAMPLES = 100;

    private final Console console;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            description = "Checkpoint directory, or GGUF file (default: the embedded model).")
    private @Nullable Path modelPath;

    @Option(names = "--out", paramLabel = "PATTERN_DIR", required = true, description = "Directory for the pattern.")
    private Path out = Path.of("");

    @Option(
            names = "--haystack",
            paramLabel = "FILE",
            description = "UTF-8 text to hide passkeys in (default: generated text).")
    private @Nullable Path haystackFile;

    @Mixin
    private IdentifyOptions options = new IdentifyOptions();

    @Option(
            names = "--save-every",
            paramLabel = "N",
            defaultValue = "20",
            description = "Steps between two saves of the state (default: ${DEFAULT-VALUE}).")
    private int saveEvery;

    @Mixin
    private ModelOptions model = new ModelOptions();

    @Option(
            names = "--compare",
            description = "When the heads are found, measure how many passkeys are found by share of heads kept, beside"
                    + " the scorers that need no training, and add it to report.html; duo eval scorers does so later.")
    private boolean compare;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Write events as JSON, one per line, while the run goes on; - is standard output.")
    private @Nullable String json;

    @Option(names = "--quiet", description = "No progress.")
    private boolean quiet;

    IdentifyCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        options.check();
        Ranges.atLeast("--save-every", saveEvery, 1);
        Outputs.checkDirectory(out, "--out");
        if (json != null && !json.equals("-")) {
            Outputs.checkFile(Path.of(json), "--json");
        }
        HaystackText haystack = HaystackText.of(haystackFile, options.seed());
        EmbeddedModel.unless(modelPath, (directory, heads) -> run(haystack, directory));
        return ExitCode.OK;
    }

    private void run(HaystackText haystack, Path directory) {
        Duo duo = Wiring.duo();
        try (Model opened = model.open(duo, directory, Capability.GRADIENTS, Capability.ROLLBACK);
                JsonEvents events = JsonEvents.open(json, console)) {
            Tokenizer tokenizer = opened.tokenizer()
                    .orElseThrow(
                            () -> new DuoException(
                                    "--model " + directory
                                            + " has no tokenizer, which identify needs to write its sequences; add its tokenizer.json"));
            long limit = opened.config().contextLimit();
            MultiPasskeyData data = new MultiPasskeyData(
                    options.data(limit),
                    haystack,
                    tokenizer::encode,
                    limit,
                    opened.shape().vocabSize());
            TrainingSettings settings = options.training(data.maxTokens());
            RunDescription run =
                    RunDescription.of(settings, data, ModelFingerprint.of(opened.config(), opened.weights()));
            GateTraining training = new GateTraining(FrozenModel.of(opened), data, settings, out, run, saveEvery);
            Optional<ScorerReport> comparison = comparison(opened, haystack, settings);
            plan(opened, training, events);
            try (DirectoryLock lock = DirectoryLock.take(out, "--out")) {
                TrainingOutcome outcome = train(training, settings, events);
                report(opened, write(opened, settings, run, outcome, events), outcome, comparison);
            }
        }
    }

    private void plan(Model opened, GateTraining training, JsonEvents events) {
        Device device = opened.device();
        training.check();
        long bytes = training.memory().bytes(device);
        if (!quiet) {
            console.err()
                    .printf(
                            Locale.ROOT,
                            "identify: %s on %s; sequences of up to %,d tokens take %,d bytes beside the weights, %,d are"
                                    + " available%n",
                            opened.name(),
                            device.description(),
                            training.memory().tokens(),
                            bytes,
                            device.availableBytes());
        }
        events.write(JsonEvents.event("plan")
                .put("model", opened.name())
                .put("backend", device.backendId())
                .put("device", device.description())
                .put("maxTokens", training.memory().tokens())
                .put("bytes", bytes)
                .put("availableBytes", device.availableBytes()));
    }

    private TrainingOutcome train(GateTraining training, TrainingSettings settings, JsonEvents events) {
        int steps = settings.schedule().steps();
        try (Progress progress = new Progress(console, quiet, "identify", steps, " steps")) {
            IdentifyProgress listener = new IdentifyProgress(progress, events);
            try {
                return training.run(listener);
            } catch (InterruptedException e) {
                throw new Interruption(
                        "interrupted; " + listener.saved() + " of " + steps + " steps are saved in " + out
                                + ", run the same command to go on",
                        e);
            }
        }
    }

    /** A page beside the pattern: heat map and loss, and if asked for what the heads are worth beside other scorers'. */
    private void report(Model opened, HeadPattern pattern, TrainingOutcome outcome, Optional<ScorerReport> comparison) {
        String seed = "seed " + options.seed();
        Candidate found = new Candidate("optimization", seed, pattern);
        List<LossCurve> losses = List.of(new LossCurve(seed, outcome.distill(), outcome.regularisation()));
        if (comparison.isPresent()) {
            List<Candidate> all = new ArrayList<>(List.of(found));
            all.addAll(comparison.get().score(COMPARED, options.seed(), COMPARED_SEEDS));
            comparison.get().write(all, losses, "-".equals(json) ? console.err() : console.out());
        } else {
            Map<String, String> settings = new LinkedHashMap<>();
            pattern.settings().forEach((name, value) -> settings.put(name, String.valueOf(value)));
            ScorerReport.write(
                    out,
                    new OutcomeReport(
                            "Retrieval heads of " + opened.name(), settings, List.of(), List.of(found), losses));
            if (!quiet) {
                console.err().println("report: " + out.resolve("report.html"));
            }
        }
    }

    /** Made before the heads are searched, since it refuses what could not be measured. */
    private Optional<ScorerReport> comparison(Model opened, HaystackText haystack, TrainingSettings settings) {
        return compare
                ? Optional.of(new ScorerReport(
                        console,
                        quiet,
                        opened,
                        haystack,
                        ScorerReport.settings(
                                opened,
                                COMPARED_SAMPLES,
                                settings.step().sinks(),
                                settings.step().recent(),
                                options.seed()),
                        out))
                : Optional.empty();
    }

    private HeadPattern write(
            Model opened, TrainingSettings settings, RunDescription run, TrainingOutcome outcome, JsonEvents events) {
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("model_name", opened.name());
        config.putAll(run.values());
        // These two are the pattern's own.
        config.remove("sink_size");
        config.remove("recent_size");
        config.put("backend", opened.device().backendId());
        config.put("device", opened.device().description());
        config.put("versions", new Version().getVersion()[0]);
        HeadPattern pattern = outcome.pattern(settings, config);
        PatternDirectory.write(out, pattern);
        PrintStream results = "-".equals(json) ? console.err() : console.out();
        for (int layer = 0; layer < outcome.gates().length; layer++) {
            results.println("layer " + layer + "  "
                    + Arrays.stream(outcome.gates()[layer])
                            .mapToObj(gate -> String.format(Locale.ROOT, "%.3f", gate))
                            .collect(Collectors.joining("  ")));
        }
        int heads = outcome.gates().length * outcome.gates()[0].length;
        results.println(out + ": " + outcome.above() + " of " + heads + " gates above 0.5");
        ObjectNode done = JsonEvents.event("done")
                .put("out", out.toString())
                .put("headsAboveHalf", outcome.above())
                .put("heads", heads);
        done.putPOJO("gates", outcome.gates());
        events.write(done);
        return pattern;
    }
}

package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.duoattention.api.backend.Capability;
import org.duoattention.core.DuoException;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.PatternDirectory;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.identify.report.Candidate;
import org.duoattention.identify.report.ScorerComparison;
import org.duoattention.identify.score.ScoringContext;
import org.duoattention.identify.text.HaystackText;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code duo eval scorers}: which way to find retrieval heads keeps the most accuracy with the fewest heads. */
@Command(
        name = "scorers",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Compares ways to find retrieval heads: passkeys found by share of heads kept, for patterns that were found"
                    + " before and for scorers that are run here. Writes report.html, which needs no other file, and"
                    + " the pattern of every scorer.",
            "Scorers: optimization (as duo identify does it, with its default options), profiling (attention paid to"
                    + " passkeys), on-the-fly (change of a head's output under streaming attention), random.",
            "Without --model a small model that comes with the program is used."
        })
final class ScorersCommand implements Callable<Integer> {
    private final Console console;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            description = "Checkpoint directory, or GGUF file (default: the embedded model).")
    private @Nullable Path modelPath;

    @Option(
            names = "--patterns",
            split = ",",
            paramLabel = "DIR",
            description =
                    "Pattern directories to compare, such as duo identify writes; those of one scorer make one curve.")
    private List<Path> patterns = new ArrayList<>();

    @Option(
            names = "--scorers",
            split = ",",
            paramLabel = "NAME",
            defaultValue = "profiling,on-the-fly,random",
            description = "Scorers to run beside the patterns, or none (default: ${DEFAULT-VALUE}).")
    private List<String> scorers = new ArrayList<>();

    @Option(
            names = "--seeds",
            paramLabel = "N",
            defaultValue = "3",
            description = "Patterns per scorer, each on data of its own (default: ${DEFAULT-VALUE}).")
    private int seeds;

    @Option(
            names = "--fractions",
            split = ",",
            paramLabel = "F",
            description = "Shares of heads kept, 0 to 1 (default: 0, 0.05, ..., 1).")
    private @Nullable List<Double> fractions;

    @Option(
            names = "--contexts",
            split = ",",
            paramLabel = "N",
            defaultValue = "512",
            description = "Context lengths in tokens (default: ${DEFAULT-VALUE}).")
    private List<Integer> contexts = new ArrayList<>();

    @Mixin
    private PasskeyOptions passkeys = new PasskeyOptions();

    @Option(
            names = "--samples",
            paramLabel = "N",
            defaultValue = "100",
            description = "Questions per point (default: ${DEFAULT-VALUE}).")
    private int samples;

    @Option(
            names = "--sink",
            paramLabel = "N",
            description =
                    "First tokens that streaming heads keep (default: the first pattern's, else 128, or 16 for models"
                            + " that read less than 8192 tokens).")
    private @Nullable Integer sink;

    @Option(
            names = "--recent",
            paramLabel = "N",
            description = "Last tokens that streaming heads keep (default: the first pattern's, else 256, or 64).")
    private @Nullable Integer recent;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "out/scorers",
            description = "Directory for report.html and the patterns (default: ${DEFAULT-VALUE}).")
    private Path out = Path.of("out", "scorers");

    @Mixin
    private ModelOptions model = new ModelOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    @Option(names = "--quiet", description = "No progress.")
    private boolean quiet;

    ScorersCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        // Refuses what is out of range as the needle command does.
        passkeys.grid(contexts, 1, samples);
        Ranges.atLeast("--seeds", seeds, 1);
        Ranges.atLeast("--sink", sink, 0);
        Ranges.atLeast("--recent", recent, 1);
        List<Double> shares = shares();
        List<String> names = scorers.equals(List.of("none")) ? List.of() : scorers;
        ScorerReport.checkScorers(names);
        if (names.isEmpty() && patterns.isEmpty()) {
            throw new DuoException("--scorers none leaves nothing to compare; give --patterns, or name scorers");
        }
        json.check();
        Outputs.checkDirectory(out, "--out");
        List<Candidate> given = patterns.stream().map(ScorersCommand::read).toList();
        HaystackText haystack = passkeys.haystack();
        EmbeddedModel.unless(modelPath, (directory, heads) -> run(directory, haystack, given, names, shares));
        return ExitCode.OK;
    }

    private List<Double> shares() {
        if (fractions == null) {
            return ScorerComparison.EVERY_TWENTIETH;
        }
        Ranges.shares("--fractions", fractions);
        return fractions.stream().sorted().toList();
    }

    private static Candidate read(Path directory) {
        HeadPattern pattern = PatternDirectory.read(directory);
        String name = String.valueOf(directory.getFileName());
        return pattern.settings().get(ScoringContext.METHOD) instanceof String scorer
                ? new Candidate(scorer, name, pattern)
                : new Candidate(name, "", pattern);
    }

    private void run(
            Path directory, HaystackText haystack, List<Candidate> given, List<String> names, List<Double> shares) {
        Duo duo = Wiring.duo();
        Capability[] needed = names.contains("optimization")
                ? new Capability[] {Capability.GRADIENTS, Capability.ROLLBACK}
                : new Capability[0];
        try (Model opened = model.open(duo, directory, needed)) {
            for (int i = 0; i < patterns.size(); i++) {
                CacheOptions.noteOfAnotherModel(given.get(i).pattern(), patterns.get(i), opened)
                        .ifPresent(console.err()::println);
            }
            Optional<HeadPattern> first = given.stream().map(Candidate::pattern).findFirst();
            ScorerReport.Window byDefault = ScorerReport.window(opened);
            ScorerComparison.Settings settings = new ScorerComparison.Settings(
                    contexts,
                    passkeys.needles(),
                    passkeys.words(),
                    samples,
                    shares,
                    sink != null ? sink : first.map(HeadPattern::sinkSize).orElse(byDefault.sinks()),
                    recent != null ? recent : first.map(HeadPattern::recentSize).orElse(byDefault.recent()),
                    passkeys.seed());
            ScorerReport report = new ScorerReport(console, quiet, opened, haystack, settings, out);
            try (DirectoryLock lock = DirectoryLock.take(out, "--out")) {
                List<Candidate> all = new ArrayList<>(given);
                all.addAll(report.score(names, passkeys.seed(), seeds));
                json.write(report.write(all, List.of(), json.console(console).out()), console);
            }
        }
    }
}

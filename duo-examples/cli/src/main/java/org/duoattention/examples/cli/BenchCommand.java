package org.duoattention.examples.cli;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Planner;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.examples.cli.bench.Benchmark;
import org.duoattention.examples.cli.bench.Contender;
import org.duoattention.examples.cli.bench.OwnContender;
import org.duoattention.examples.cli.bench.OwnEngine;
import org.duoattention.examples.cli.bench.Row;
import org.duoattention.examples.cli.bench.Span;
import org.duoattention.examples.cli.machine.Machine;
import org.duoattention.examples.cli.peer.Jlama;
import org.duoattention.examples.cli.peer.LlamaCpp;
import org.duoattention.examples.cli.peer.Peer;
import org.duoattention.examples.cli.synthetic.Shapes;
import org.duoattention.examples.cli.synthetic.WeightFormat;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code duo bench}: speed of decode and prefill at given depths, beside what the machine allows and beside peers. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Measures decode and prefill of a shape with random weights, with a cache that is filled up to each depth with"
                    + " random numbers, beside the machine's read bandwidth and multiply-add speed in the same run.",
            "Everything is measured in turn, so that a machine that others use is the same for all; figures are medians."
        })
final class BenchCommand implements Callable<Integer> {
    private static final int MAX_DEPTH = 1 << 30;
    private static final int MAX_TOKENS = 100_000;
    private static final double DEFAULT_RETRIEVAL = 0.5;
    private static final int THREADS = Runtime.getRuntime().availableProcessors();
    private static final String JLAMA = "jlama";
    private static final List<String> PEERS = List.of("llama.cpp", JLAMA);

    private final Console console;

    @Option(
            names = "--shape",
            paramLabel = "NAME|FILE",
            required = true,
            description = "llama-3.2-1b, llama-3-8b, llama-2-7b, or a file like config.json.")
    private String shape = "";

    @Option(
            names = "--weights",
            paramLabel = "f32|f16|bf16|int8|int4",
            converter = Choices.Weights.class,
            defaultValue = "f16",
            description = "Storage of the weights; int8 and int4 in groups of 32 (default: ${DEFAULT-VALUE}).")
    private WeightFormat weights = WeightFormat.of("f16").orElseThrow();

    @Option(
            names = "--policies",
            split = ",",
            paramLabel = "NAME",
            defaultValue = "full,duo",
            description = "Cache policies to compare (default: ${DEFAULT-VALUE}).")
    private List<String> policies = new ArrayList<>();

    @Option(
            names = "--contenders",
            split = ",",
            paramLabel = "POLICY:KV",
            description =
                    "Cache policies, each with a storage of keys and values, such as full:f16,duo:int8; instead of"
                            + " --policies and --kv.")
    private List<String> contenders = new ArrayList<>();

    @Option(
            names = "--depths",
            split = ",",
            paramLabel = "N",
            defaultValue = "0,4096,32768,131072",
            description = "Tokens in the cache when decoding is measured (default: ${DEFAULT-VALUE}).")
    private List<Integer> depths = new ArrayList<>();

    @Option(
            names = "--prefill",
            split = ",",
            paramLabel = "N|FROM+N",
            defaultValue = "512,8192",
            description = "Tokens to prefill, into an empty cache or after FROM tokens; none to leave it out"
                    + " (default: ${DEFAULT-VALUE}).")
    private List<String> prefill = new ArrayList<>();

    @Option(
            names = "--tokens",
            paramLabel = "N",
            defaultValue = "32",
            description = "Tokens that are decoded per measurement (default: ${DEFAULT-VALUE}).")
    private int tokens;

    @Option(
            names = "--repeats",
            paramLabel = "N",
            defaultValue = "5",
            description = "Measurements per figure (default: ${DEFAULT-VALUE}).")
    private int repeats;

    @Mixin
    private PlanOptions plan = new PlanOptions();

    @Option(
            names = "--peer",
            paramLabel = "llama.cpp|jlama",
            description =
                    "Also measure another engine, in turn, with full attention and each of its settings. llama.cpp"
                            + " needs node, and npm the first time; jlama needs Maven (mvn) the first time. They are then installed"
                            + " under ~/.cache/duo/peers.")
    private @Nullable String peer;

    @Option(
            names = "--peer-depth",
            paramLabel = "N",
            defaultValue = "32768",
            description = "Depth up to which a peer is measured (default: ${DEFAULT-VALUE}).")
    private int peerDepth;

    @Mixin
    private BackendOptions backend = new BackendOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    @Option(names = "--quiet", description = "No progress.")
    private boolean quiet;

    @Spec
    private @Nullable CommandSpec spec;

    BenchCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        Duo duo = Wiring.duo();
        List<Span> spans = spans();
        checkDepths();
        between("--tokens", tokens, 1, MAX_TOKENS);
        between("--repeats", repeats, 1, MAX_TOKENS);
        List<CacheChoice> caches = caches();
        List<String> compared =
                caches.stream().map(CacheChoice::policy).distinct().toList();
        plan.assumeRetrieval(duo, compared, DEFAULT_RETRIEVAL);
        plan.check(duo, compared);
        between("--peer-depth", peerDepth, 0, MAX_DEPTH);
        if (peer == null && isGiven("--peer-depth")) {
            throw new DuoException("--peer-depth " + peerDepth + " says how deep a peer is measured, and there is none;"
                    + " give --peer, or leave it out");
        }
        if (peer != null && !PEERS.contains(peer)) {
            throw new DuoException("--peer is '" + peer + "'; it must be one of " + String.join(", ", PEERS));
        }
        json.check();
        ModelConfig config = Shapes.of(shape);
        // What no head can be stored as is refused before weights are made.
        caches.forEach(cache -> cache.kv().format(config.shape().headDim()));
        String name = Shapes.name(config);
        Benchmark.Result result;
        String device;
        try (Planner planner = duo.planner(
                config, weights.requirements(name, config, BlockFormat.F16), backend.id(), backend.options())) {
            long left = requireMemory(duo, planner, caches, spans);
            try (Peer other = peer(config)) {
                List<Contender> peers = List.of();
                if (other != null) {
                    int longest = longest(spans);
                    requirePeerMemory(other.bytes(longest), left);
                    peers = other.contenders(peerDepth, longest);
                }
                try (OwnEngine engine = new OwnEngine(planner, weights, plan.chunk())) {
                    device = planner.device().description();
                    result = run(duo, planner, engine, caches, peers, spans);
                }
            }
        }
        print(name, result, json.console(console).out());
        json.write(json(name, device, result), console);
        return ExitCode.OK;
    }

    private @Nullable Peer peer(ModelConfig config) {
        if (peer == null) {
            return null;
        }
        return peer.equals(JLAMA)
                ? Jlama.of(config, weights, THREADS, this::say)
                : LlamaCpp.of(config, weights, THREADS, this::say);
    }

    private List<CacheChoice> caches() {
        if (!isGiven("--contenders")) {
            return CacheChoice.policies(policies, plan.kv());
        }
        for (String other : List.of("--policies", "--kv")) {
            if (isGiven(other)) {
                throw new DuoException("--contenders names policies and their storage; leave " + other + " out");
            }
        }
        return CacheChoice.pairs(contenders);
    }

    /** Whether the user named an option, be it with its default value. */
    private boolean isGiven(String option) {
        return Objects.requireNonNull(spec).commandLine().getParseResult().hasMatchedOption(option);
    }

    private SessionBuilder sessions(Duo duo, Planner planner, CacheChoice cache) {
        return plan.session(duo, planner, cache.policy())
                .kv(cache.kv().format(planner.config().shape().headDim()));
    }

    /**
     * Refuses, before anything is made, what does not fit: the weights with the caches of the deepest decode, which lie
     * beside each other, or with the cache of the longest prefill.
     *
     * @return bytes that are left in the fuller of the two cases
     */
    private long requireMemory(Duo duo, Planner planner, List<CacheChoice> caches, List<Span> spans) {
        long available = planner.device().availableBytes();
        long engine = OwnEngine.bytes(planner, weights, plan.chunk());
        if (engine > available) {
            throw new DuoException("--shape " + planner.config().file() + " with --weights " + weights.label()
                    + " and chunks of " + plan.chunk() + " tokens takes " + engine + " bytes, " + available
                    + " are available; choose smaller weights or a smaller shape");
        }
        int longest = spans.stream().mapToInt(Span::end).max().orElse(0);
        long left = available - engine;
        long together = 0;
        long longestAlone = 0;
        for (CacheChoice cache : caches) {
            SessionBuilder sessions = sessions(duo, planner, cache);
            long alone = OwnContender.cacheBytes(sessions, plan.leastContext(), longest, 0);
            if (longest > 0 && alone > left) {
                throw tooLarge("--prefill " + longest + " with the cache of " + cache.text(), alone, engine, available);
            }
            longestAlone = Math.max(longestAlone, longest > 0 ? alone : 0);
            together = Math.addExact(
                    together,
                    OwnContender.cacheBytes(sessions, plan.leastContext(), (long) deepest() + tokens, tokens));
        }
        if (together > left) {
            String names = caches.stream().map(CacheChoice::text).collect(Collectors.joining(","));
            throw tooLarge("--depths " + deepest() + " with the caches of " + names, together, engine, available);
        }
        return left - Math.max(together, longestAlone);
    }

    /** A peer has no limit of its own: what does not fit would be swapped, or end with the whole machine out of memory. */
    private void requirePeerMemory(long bytes, long left) {
        if (bytes > left) {
            throw new DuoException("--peer " + peer + " takes " + bytes + " bytes for its weights and the caches of its"
                    + " settings, " + left + " are left beside ours; choose a smaller --peer-depth (" + peerDepth
                    + "), fewer --depths or a smaller shape");
        }
    }

    private static DuoException tooLarge(String what, long bytes, long engine, long available) {
        return new DuoException(
                what + " takes " + bytes + " bytes beside " + engine + " of weights and activations, " + available
                        + " are available; choose fewer tokens, fewer caches or a smaller storage of keys and values");
    }

    private int deepest() {
        return depths.isEmpty() ? 0 : depths.getLast();
    }

    private Benchmark.Result run(
            Duo duo,
            Planner planner,
            OwnEngine engine,
            List<CacheChoice> caches,
            List<Contender> peers,
            List<Span> spans) {
        List<Contender> all = new ArrayList<>();
        try {
            for (CacheChoice cache : caches) {
                all.add(new OwnContender(
                        engine, sessions(duo, planner, cache), plan.leastContext(), deepest(), tokens));
            }
            all.addAll(peers);
            return new Benchmark(all, repeats, tokens, this::say, BenchCommand::checkInterruption).run(spans, depths);
        } catch (DuoException e) {
            // Ctrl-C ends a peer's process too, whose answer is then missing.
            checkInterruption();
            throw e;
        } finally {
            all.forEach(Contender::close);
        }
    }

    /** The most tokens that a peer has to hold. */
    private int longest(List<Span> spans) {
        int prefilled = spans.stream()
                .mapToInt(Span::end)
                .filter(end -> end <= peerDepth)
                .max()
                .orElse(0);
        int decoded = depths.stream()
                .mapToInt(Integer::intValue)
                .filter(depth -> depth <= peerDepth)
                .max()
                .orElse(0);
        return Math.max(prefilled, decoded) + tokens;
    }

    private void say(String line) {
        if (!quiet) {
            console.err().println(line);
        }
    }

    private static void checkInterruption() {
        if (Thread.interrupted()) {
            throw new Interruption("interrupted while measuring; nothing was written");
        }
    }

    private List<Span> spans() {
        if (prefill.equals(List.of("none"))) {
            return List.of();
        }
        List<Span> spans = new ArrayList<>();
        for (String text : prefill) {
            spans.add(Span.parse(text)
                    .orElseThrow(() -> new DuoException("--prefill has '" + text
                            + "'; expected a number of tokens such as 512, or 16384+512 to begin after 16384 tokens")));
        }
        return spans;
    }

    private void checkDepths() {
        for (int i = 0; i < depths.size(); i++) {
            between("--depths", depths.get(i), 0, MAX_DEPTH);
            if (i > 0 && depths.get(i) <= depths.get(i - 1)) {
                throw new DuoException("--depths has " + depths.get(i) + " after " + depths.get(i - 1)
                        + "; give them in ascending order, each once");
            }
        }
    }

    private static void between(String option, int value, int least, int most) {
        if (value < least || value > most) {
            throw new DuoException(option + " is " + value + "; it must lie between " + least + " and " + most);
        }
    }

    private static void print(String name, Benchmark.Result result, PrintStream out) {
        out.printf(
                Locale.ROOT,
                "%s; read %.1f GB/s, multiply-add %.0f GFLOP/s%n",
                name,
                result.readBandwidth() / 1e9,
                result.peakFlops() / 1e9);
        out.printf("%-56s %-8s %8s %12s %8s %6s %16s%n", "", "phase", "depth", "tokens/s", "GB/s", "bound", "KV bytes");
        for (Row row : result.rows()) {
            out.printf(
                    Locale.ROOT,
                    "%-56s %-8s %8d %12.2f %8.1f %6.2f %,16d%n",
                    row.identity(),
                    row.phase(),
                    row.depth(),
                    row.tokensPerSecond(),
                    row.bytesPerSecond() / 1e9,
                    row.boundShare(),
                    row.kvBytes());
        }
    }

    /** Whether no other setting of the same engine was faster at the same. */
    private static boolean isBest(Row row, List<Row> rows) {
        return rows.stream()
                .filter(other -> other.identity().engine().equals(row.identity().engine())
                        && other.phase().equals(row.phase())
                        && other.depth() == row.depth()
                        && other.from() == row.from())
                .noneMatch(other -> other.tokensPerSecond() > row.tokensPerSecond());
    }

    private ObjectNode json(String name, String device, Benchmark.Result result) {
        Machine machine = Machine.current();
        ObjectNode json = JsonOption.object();
        json.putObject("machine")
                .put("cpu", machine.cpu())
                .put("processors", machine.processors())
                .put("memoryBytes", machine.memoryBytes())
                .put("os", machine.os())
                .put("jvm", machine.jvm())
                .put("device", device)
                .put("readBandwidthGBps", result.readBandwidth() / 1e9)
                .put("peakGflops", result.peakFlops() / 1e9);
        json.put("chunk", plan.chunk()).put("repeats", repeats);
        ArrayNode rows = json.putArray("rows");
        for (Row row : result.rows()) {
            Contender.Identity who = row.identity();
            ObjectNode object = rows.addObject()
                    .put("engine", who.engine())
                    .put("shape", name)
                    .put("weights", who.weights())
                    .put("kv", who.kv())
                    .put("policy", who.policy())
                    .put("retrieval", who.retrieval())
                    .put("phase", row.phase())
                    .put("depth", row.depth())
                    .put("from", row.from())
                    .put("tokens", row.tokens())
                    .put("tokensPerSecond", row.tokensPerSecond())
                    .put("gigabytesPerSecond", row.bytesPerSecond() / 1e9)
                    .put("boundShare", row.boundShare())
                    .put("weightBytes", row.weightBytes())
                    .put("kvBytes", row.kvBytes());
            if (!who.setting().isEmpty()) {
                object.put("setting", who.setting());
                if (!who.engine().equals(OwnContender.ENGINE)) {
                    object.put("bestSetting", isBest(row, result.rows()));
                }
            }
        }
        return json;
    }
}

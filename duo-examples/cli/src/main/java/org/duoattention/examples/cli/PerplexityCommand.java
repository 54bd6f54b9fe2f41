package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.session.SessionOptions;
import org.duoattention.identify.task.Perplexity;
import org.duoattention.identify.text.Utf8File;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ObjectNode;

/** {@code duo eval perplexity}: how surprised a model is by a text. */
@Command(
        name = "perplexity",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Measures perplexity: exp of the mean negative log-likelihood per token of a text, by the cache that a session"
                    + " with these options has.",
            "The text is tokenised once, with the tokenizer's special tokens (a BOS in front, if it has one), and cut into"
                    + " windows that do not overlap. Each window starts empty; its first token is not scored."
        })
final class PerplexityCommand implements Callable<Integer> {
    private static final int DEFAULT_CONTEXT = 2048;
    private static final int PROGRESS_LINES = 10;

    private final Console console;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            required = true,
            description = "Checkpoint directory, or GGUF file.")
    private Path modelPath = Path.of("");

    @Option(names = "--text", paramLabel = "FILE", required = true, description = "UTF-8 text to be scored.")
    private Path text = Path.of("");

    @Option(
            names = "--context",
            paramLabel = "N",
            description = "Tokens per window (default: 2048, or what the model was made for if that is less).")
    private @Nullable Integer context;

    @Option(
            names = "--policy",
            paramLabel = "NAME",
            description = "Cache policy (default: duo when retrieval heads are given, else full).")
    private @Nullable String policy;

    @Mixin
    private CacheOptions cache = new CacheOptions();

    @Mixin
    private ModelOptions model = new ModelOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    @Option(names = "--quiet", description = "No progress.")
    private boolean quiet;

    PerplexityCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        Ranges.atLeast("--context", context, 2);
        Duo duo = Wiring.duo();
        String chosen = policy != null ? policy : cache.namesHeads() ? "duo" : "full";
        cache.check(duo, List.of(chosen), false);
        json.check();
        String content = Utf8File.read("--text", text);
        try (Model opened = model.open(duo, modelPath)) {
            int[] ids = opened.tokenizer()
                    .orElseThrow(() -> new DuoException("--model " + modelPath
                            + " has no tokenizer, which perplexity of a text needs; add its tokenizer.json, or take a"
                            + " GGUF file that holds one"))
                    .encode(content, true);
            if (ids.length < 2) {
                throw new DuoException("--text " + text + " has " + ids.length
                        + (ids.length == 1 ? " token" : " tokens") + "; perplexity needs at least 2");
            }
            long limit = opened.config().contextLimit();
            int window = context != null ? context : (int) Math.max(2, Math.min(DEFAULT_CONTEXT, limit));
            if (window > limit && !quiet) {
                console.err()
                        .println("note: windows of " + window + " tokens are more than the " + limit + " that "
                                + opened.name() + " was made for");
            }
            Optional<CacheOptions.Heads> heads = cache.heads(duo, opened, Optional.empty());
            SessionBuilder sessions = cache.session(duo, opened, chosen, heads, SessionBuilder.DEFAULT_CHUNK)
                    .maxContext(Math.max(window, cache.leastContext(heads)))
                    .rollbackMargin(0);
            measure(duo, opened, sessions, ids, window);
        }
        return ExitCode.OK;
    }

    private void measure(Duo duo, Model opened, SessionBuilder sessions, int[] ids, int window) {
        SessionOptions options = sessions.plan().options();
        long start = System.nanoTime();
        long[] done = {0};
        Perplexity result;
        try (Progress progress = new Progress(console, quiet, "perplexity", ids.length)) {
            result = Perplexity.of(sessions, ids, window, fed -> {
                progress.add(fed);
                long before = done[0];
                done[0] += fed;
                if (done[0] * PROGRESS_LINES / ids.length > before * PROGRESS_LINES / ids.length) {
                    progress.line("perplexity: " + done[0] + " of " + ids.length + " tokens");
                }
            });
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        json.console(console)
                .out()
                .printf(
                        Locale.ROOT,
                        "perplexity %.4f over %d tokens in %d windows of %d; policy %s, kv %s, chunk %d%n",
                        result.value(),
                        result.tokens(),
                        result.windows(),
                        window,
                        options.policy(),
                        KvType.name(options.kv(), opened.shape().headDim()),
                        options.chunk());
        ObjectNode object = JsonOption.object()
                .put("perplexity", result.value())
                .put("tokens", result.tokens())
                .put("windows", result.windows())
                .put("context", window)
                .put("text", text.toString())
                .put("model", opened.name())
                .put("backend", opened.device().backendId())
                .put("device", opened.device().description())
                .put("policy", options.policy())
                .put("kv", KvType.name(options.kv(), opened.shape().headDim()))
                .put(
                        "streamingKv",
                        KvType.name(options.streamingKv(), opened.shape().headDim()))
                .put("chunk", options.chunk())
                .put("prefillMode", options.prefillMode().name().toLowerCase(Locale.ROOT));
        Set<PlanInput> inputs = duo.policies().require(options.policy()).inputs();
        if (inputs.contains(PlanInput.WINDOW)) {
            object.put("sink", options.sinks()).put("recent", options.recent());
        }
        if (inputs.contains(PlanInput.HEADS)) {
            object.put("retrievalHeads", options.heads().retrievalCount())
                    .put("heads", options.heads().headCount());
        }
        json.write(object.put("seconds", seconds), console);
    }
}

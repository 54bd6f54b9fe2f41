package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.FinishReason;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.session.SessionEvent;
import org.duoattention.core.session.SessionOptions;
import org.duoattention.core.session.Usage;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.identify.text.Utf8File;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code duo generate}: continues a prompt. */
@Command(
        name = "generate",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Continues a prompt. The text goes to standard output as it comes, figures to standard error.")
final class GenerateCommand implements Callable<Integer> {
    /** At most so many lines tell of a prefill where there is no terminal for a bar. */
    private static final long PROGRESS_LINES = 10;

    private final Console console;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            required = true,
            description = "Checkpoint directory, or GGUF file.")
    private Path modelPath = Path.of("");

    @ArgGroup(multiplicity = "1")
    private Prompt prompt = new Prompt();

    /** Where the prompt comes from: one of three. */
    static final class Prompt {
        @Option(names = "--prompt", paramLabel = "TEXT", description = "The prompt.")
        private @Nullable String text;

        @Option(
                names = "--prompt-file",
                paramLabel = "FILE",
                description = "UTF-8 file with the prompt, taken as it is.")
        private @Nullable Path file;

        @Option(
                names = "--ids",
                paramLabel = "1,2,3",
                description = "The prompt as token ids, as they are; needs no tokenizer.")
        private @Nullable String ids;

        int[] ids(Model model) {
            if (ids != null) {
                return TokenIds.parse(ids);
            }
            String given = file == null ? text : Utf8File.read("--prompt-file", file);
            if (given == null || given.isEmpty()) {
                throw new DuoException((file == null ? "--prompt" : "--prompt-file " + file)
                        + " is empty; give at least one character");
            }
            Tokenizer tokenizer = model.tokenizer()
                    .orElseThrow(() -> new DuoException("--model " + model.path()
                            + " has no tokenizer; give token ids with --ids, or add its tokenizer.json"));
            return tokenizer.encode(given, true);
        }
    }

    @Mixin
    private SamplingOptions sampling = new SamplingOptions();

    @Option(
            names = "--policy",
            paramLabel = "NAME",
            description = "Cache policy (default: duo when retrieval heads are given, else full).")
    private @Nullable String policy;

    @Mixin
    private CacheOptions cache = new CacheOptions();

    @Mixin
    private PromptCache promptCache = new PromptCache();

    @Mixin
    private ModelOptions model = new ModelOptions();

    @Option(names = "--logits", description = "Put the logits after the prompt's last token into the JSON.")
    private boolean logits;

    @Mixin
    private JsonOption json = new JsonOption();

    @Option(names = "--quiet", description = "No progress and no figures.")
    private boolean quiet;

    GenerateCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        GenerationRequest request = sampling.request();
        Duo duo = Wiring.duo();
        String chosen = policy != null ? policy : cache.namesHeads() ? "duo" : "full";
        cache.check(duo, List.of(chosen), false);
        if (logits && !json.isGiven()) {
            throw new DuoException("--logits go into the JSON; add --json FILE, or --json - for standard output");
        }
        json.check();
        promptCache.check();
        try (Model opened = model.open(duo, modelPath)) {
            int[] ids = prompt.ids(opened);
            long context = promptCache.context((long) ids.length + sampling.maxNewTokens());
            if (context > opened.config().contextLimit() && !quiet) {
                console.err()
                        .println("note: " + context + " tokens are more than the "
                                + opened.config().contextLimit() + " that " + opened.name() + " was made for");
            }
            Optional<CacheOptions.Heads> heads = cache.heads(duo, opened, Optional.empty());
            try (Session session = cache.session(duo, opened, chosen, heads, SessionBuilder.DEFAULT_CHUNK)
                    .maxContext(Math.max(context, cache.leastContext(heads)))
                    // A text and a question after it need not be cut into tokens like the text alone.
                    .rollbackMargin(promptCache.isGiven() ? SessionBuilder.DEFAULT_ROLLBACK_MARGIN : 0)
                    .open()) {
                generate(duo, opened, session, ids, request);
            }
        }
        return ExitCode.OK;
    }

    private void generate(Duo duo, Model opened, Session session, int[] ids, GenerationRequest request) {
        int restored = promptCache.restore(session, ids);
        double seconds = prefill(session, Arrays.copyOfRange(ids, restored, ids.length));
        SessionOptions options = session.options();
        ObjectNode result = JsonOption.object()
                .put("model", opened.name())
                .put("backend", opened.device().backendId())
                .put("device", opened.device().description())
                .put("policy", options.policy())
                .put("kv", KvType.name(options.kv(), opened.shape().headDim()))
                .put(
                        "streamingKv",
                        KvType.name(options.streamingKv(), opened.shape().headDim()))
                .put("chunk", options.chunk())
                .put("prefillMode", options.prefillMode().name().toLowerCase(Locale.ROOT))
                .put("promptTokens", ids.length)
                .put("restoredTokens", restored)
                .put("kvBytes", session.kvBytes());
        Set<PlanInput> inputs = duo.policies().require(options.policy()).inputs();
        if (inputs.contains(PlanInput.WINDOW)) {
            result.put("sink", options.sinks()).put("recent", options.recent());
        }
        if (inputs.contains(PlanInput.HEADS)) {
            result.put("retrievalHeads", options.heads().retrievalCount())
                    .put("heads", options.heads().headCount());
        }
        if (logits) {
            ArrayNode values = result.putArray("logits");
            for (float value : session.logits()) {
                values.add(value);
            }
        }
        ArrayNode newIds = result.putArray("newIds");
        Answer answer = answer(opened, session, request, newIds);
        result.put("text", answer.text())
                .put("finish", answer.reason().name().toLowerCase(Locale.ROOT))
                .put("prefillSeconds", seconds)
                .put("prefillTokensPerSecond", rate(ids.length - restored, seconds))
                .put("decodeMillisPerToken", answer.usage().millisPerToken());
        if (!quiet) {
            console.err()
                    .printf(
                            Locale.ROOT,
                            "%d prompt tokens%s at %,.0f per second; %d new ones at %.2f ms; %,d bytes of KV cache; policy %s on %s%n",
                            ids.length,
                            restored == 0 ? "" : ", " + restored + " of them restored, the rest",
                            rate(ids.length - restored, seconds),
                            newIds.size(),
                            answer.usage().millisPerToken(),
                            session.kvBytes(),
                            options.policy(),
                            opened.device().description());
        }
        json.write(result, console);
    }

    private static double rate(int tokens, double seconds) {
        return tokens == 0 ? 0 : tokens / seconds;
    }

    /** Feeds what is not in the cache yet, and keeps it in the file of the prompt's cache if there is to be one. */
    private double prefill(Session session, int[] ids) {
        if (ids.length == 0) {
            return 0;
        }
        try (Progress progress =
                new Progress(console, quiet || ids.length <= session.options().chunk(), "prefill", ids.length)) {
            int[] done = {0};
            return promptCache.prefill(
                    session,
                    ids,
                    fed -> {
                        progress.add(fed - done[0]);
                        if (fed * PROGRESS_LINES / ids.length > done[0] * PROGRESS_LINES / ids.length) {
                            progress.line("prefill: " + fed + " of " + ids.length + " tokens");
                        }
                        done[0] = fed;
                    },
                    (file, length) -> {
                        if (!quiet) {
                            console.err().println("kept the cache of " + length + " tokens in " + file);
                        }
                    });
        }
    }

    private record Answer(String text, FinishReason reason, Usage usage) {}

    /** Writes text, or ids where there is no tokenizer, as they come. */
    private Answer answer(Model opened, Session session, GenerationRequest request, ArrayNode newIds) {
        Console results = json.console(console);
        boolean asText = opened.tokenizer().isPresent();
        StringBuilder text = new StringBuilder();
        for (SessionEvent event : session.generate(request)) {
            switch (event) {
                case SessionEvent.Token token -> {
                    if (!asText) {
                        results.out().print((newIds.isEmpty() ? "" : ",") + token.id());
                    }
                    newIds.add(token.id());
                }
                case SessionEvent.Text piece -> {
                    text.append(piece.text());
                    results.out().print(piece.text());
                    results.flush();
                }
                case SessionEvent.Finished finished -> {
                    results.out().println();
                    results.flush();
                    if (finished.reason() == FinishReason.CANCELLED) {
                        throw new Interruption("interrupted while generating");
                    }
                    return new Answer(text.toString(), finished.reason(), finished.usage());
                }
            }
        }
        throw new IllegalStateException("the generation ended without saying so");
    }
}

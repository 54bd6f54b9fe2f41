package org.duoattention.examples.cli;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.duoattention.api.backend.Device;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.spi.ProviderRegistry.Provider;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code duo model}: what a checkpoint holds and what a context costs under each policy. */
@Command(
        name = "model",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Shows a checkpoint's shape, types and bytes, and what a token of context costs under each policy.")
final class ModelCommand implements Callable<Integer> {
    private final Console console;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            required = true,
            description = "Checkpoint directory, or GGUF file.")
    private Path modelPath = Path.of("");

    @Mixin
    private CacheOptions cache = new CacheOptions();

    @Mixin
    private ModelOptions model = new ModelOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    ModelCommand(Console console) {
        this.console = console;
    }

    /**
     * The cost of a context: {@code fixedBytes + bytesPerToken * tokens} from where the window is full.
     *
     * @param policy name of the cache policy
     * @param missing what the policy needs and the user did not give
     */
    private record Cost(
            String policy,
            double bytesPerToken,
            long fixedBytes,
            @Nullable String missing) {}

    @Override
    public Integer call() {
        Duo duo = Wiring.duo();
        List<String> policies =
                duo.policies().all().stream().map(Provider::name).toList();
        cache.check(duo, policies, false);
        json.check();
        try (Model opened = model.open(duo, modelPath)) {
            Optional<CacheOptions.Heads> heads = cache.heads(duo, opened, Optional.empty());
            List<Cost> costs = new ArrayList<>();
            for (String policy : policies) {
                costs.add(cost(duo, opened, policy, heads));
            }
            print(opened, costs, json.console(console).out());
            json.write(json(opened, costs), console);
        }
        return ExitCode.OK;
    }

    private Cost cost(Duo duo, Model opened, String policy, Optional<CacheOptions.Heads> heads) {
        if (heads.isEmpty() && duo.policies().require(policy).inputs().contains(PlanInput.HEADS)) {
            return new Cost(policy, 0, 0, "depends on the retrieval heads: give --heads or --mask");
        }
        SessionBuilder builder = cache.session(duo, opened, policy, heads, SessionBuilder.DEFAULT_CHUNK)
                .rollbackMargin(0);
        long longer = opened.config().contextLimit();
        long shorter = Math.max(1, longer / 2);
        long more = builder.maxContext(longer).plan().kvBytes();
        long less = builder.maxContext(shorter).plan().kvBytes();
        double perToken = longer == shorter ? 0 : (more - less) / (double) (longer - shorter);
        return new Cost(policy, perToken, Math.round(more - perToken * longer), null);
    }

    private static void print(Model opened, List<Cost> costs, PrintStream out) {
        ModelShape shape = opened.shape();
        Device device = opened.device();
        out.println(opened.name() + " (" + opened.config().family() + ")");
        out.println("  layers " + shape.layers() + ", hidden size " + shape.hiddenSize() + ", feed-forward size "
                + shape.intermediateSize() + ", vocabulary " + shape.vocabSize());
        out.println("  heads " + shape.attentionHeads() + " query, " + shape.kvHeads() + " key/value of width "
                + shape.headDim());
        out.println("  context " + opened.config().contextLimit() + " tokens");
        opened.weights()
                .bytesByType()
                .forEach((type, bytes) -> out.printf(Locale.ROOT, "  weights %s %,d bytes%n", type, bytes));
        out.println("  tokenizer " + (opened.tokenizer().isPresent() ? "yes" : "none"));
        out.println("  backend " + device.backendId() + ": " + device.description());
        out.println("KV cache:");
        for (Cost cost : costs) {
            if (cost.missing() == null) {
                out.printf(
                        Locale.ROOT,
                        "  %-10s %,.0f bytes per token + %,d bytes%n",
                        cost.policy(),
                        cost.bytesPerToken(),
                        cost.fixedBytes());
            } else {
                out.printf(Locale.ROOT, "  %-10s %s%n", cost.policy(), cost.missing());
            }
        }
    }

    private static ObjectNode json(Model opened, List<Cost> costs) {
        ModelShape shape = opened.shape();
        ObjectNode json = JsonOption.object()
                .put("model", opened.name())
                .put("family", opened.config().family().toString())
                .put("backend", opened.device().backendId())
                .put("contextLimit", opened.config().contextLimit());
        json.putObject("shape")
                .put("layers", shape.layers())
                .put("hiddenSize", shape.hiddenSize())
                .put("attentionHeads", shape.attentionHeads())
                .put("kvHeads", shape.kvHeads())
                .put("headDim", shape.headDim())
                .put("intermediateSize", shape.intermediateSize())
                .put("vocabSize", shape.vocabSize());
        ObjectNode weights = json.putObject("weightBytes");
        opened.weights().bytesByType().forEach(weights::put);
        ArrayNode cache = json.putArray("kvCache");
        for (Cost cost : costs) {
            ObjectNode line = cache.addObject().put("policy", cost.policy());
            if (cost.missing() == null) {
                line.put("bytesPerToken", cost.bytesPerToken()).put("fixedBytes", cost.fixedBytes());
            }
        }
        return json;
    }
}

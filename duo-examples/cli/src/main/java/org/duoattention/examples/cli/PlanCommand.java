package org.duoattention.examples.cli;

import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.cache.SlabReport;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelTensors;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.ModelSources;
import org.duoattention.core.session.Planner;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.session.SessionPlan;
import org.duoattention.core.source.ModelSource;
import org.duoattention.examples.cli.synthetic.Shapes;
import org.duoattention.examples.cli.synthetic.WeightFormat;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.node.ObjectNode;

/** {@code duo plan}: the longest context that fits in a memory. */
@Command(
        name = "plan",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Says how long a context fits in a memory, and what takes how many bytes of it. Neither weights nor caches are made;"
                    + " the bytes are those that a session with the default rollback margin then takes, without the Java heap.",
            "Retrieval heads, as many as --retrieval says, are spread evenly over the layers."
        })
final class PlanCommand implements Callable<Integer> {
    private final Console console;

    @ArgGroup(multiplicity = "1")
    private Subject subject = new Subject();

    /** What is planned for. */
    static final class Subject {
        @Option(
                names = "--shape",
                paramLabel = "NAME|FILE",
                description = "llama-3.2-1b, llama-3-8b, llama-2-7b, or a file like config.json.")
        private @Nullable String shape;

        @Option(names = "--model", paramLabel = "PATH", description = "Checkpoint directory or GGUF file.")
        private @Nullable Path model;
    }

    @Option(
            names = "--memory",
            paramLabel = "SIZE",
            required = true,
            converter = MemorySize.class,
            description = "Memory to fill, for example 24GiB.")
    private long memory;

    @Option(
            names = "--weights",
            paramLabel = "f32|f16|bf16|int8|int4",
            converter = Choices.Weights.class,
            description = "Storage of the weights; int8 and int4 of all matrices in groups of 32 (default: the"
                    + " checkpoint's; f16 for a shape).")
    private @Nullable WeightFormat weights;

    @Mixin
    private PlanOptions plan = new PlanOptions();

    @Option(
            names = "--policy",
            paramLabel = "NAME",
            description = "Cache policy (default: duo when --retrieval is given, else full).")
    private @Nullable String policy;

    @Mixin
    private BackendOptions backend = new BackendOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    PlanCommand(Console console) {
        this.console = console;
    }

    /**
     * What takes the memory.
     *
     * @param other what the device takes before anything is loaded
     */
    private record Bytes(long weights, long retrievalKv, long streamingKv, long activations, long other) {
        static Bytes of(long weights, SessionPlan plan, long other) {
            long retrieval = 0;
            for (SlabReport slab : plan.slabs()) {
                if (slab.plan().retention() instanceof Retention.All) {
                    retrieval += slab.bytes();
                }
            }
            return new Bytes(weights, retrieval, plan.kvBytes() - retrieval, plan.activationBytes(), other);
        }

        long total() {
            return weights + retrievalKv + streamingKv + activations + other;
        }
    }

    @Override
    public Integer call() {
        Duo duo = Wiring.duo();
        String chosen = policy != null ? policy : plan.retrieval() != null ? "duo" : "full";
        plan.check(duo, List.of(chosen));
        json.check();
        if (subject.model != null) {
            try (ModelSource source = ModelSources.at(subject.model)) {
                plan(duo, chosen, source.config(), source.name(), Optional.of(source.weights()));
            }
        } else {
            ModelConfig config = Shapes.of(String.valueOf(subject.shape));
            plan(duo, chosen, config, Shapes.name(config), Optional.empty());
        }
        return ExitCode.OK;
    }

    private void plan(Duo duo, String chosen, ModelConfig config, String name, Optional<WeightSource> checkpoint) {
        Optional<WeightSource> source = weights == null ? checkpoint : Optional.empty();
        WeightFormat format = weights != null ? weights : WeightFormat.of("f16").orElseThrow();
        Requirements requirements = source.map(stored -> requirements(config, name, stored))
                .orElseGet(() -> format.requirements(name, config, BlockFormat.F16));
        try (Planner planner = duo.planner(config, requirements, backend.id(), backend.options())) {
            Device device = planner.device();
            long weightBytes = source.map(stored -> storedBytes(device, stored, config))
                    .orElseGet(() -> format.bytes(device, config));
            long other = device.allocatedBytes();
            long left = memory - weightBytes - other;
            if (left <= 0) {
                throw new DuoException("--memory " + memory + " bytes do not hold the weights of " + name
                        + ", which take " + weightBytes + " bytes; give more, or choose smaller --weights");
            }
            SessionBuilder sessions = plan.session(duo, planner, chosen);
            SessionPlan longest = planner.longest(sessions, plan.leastContext(), left);
            Bytes bytes = Bytes.of(weightBytes, longest, other);
            String label = source.map(PlanCommand::label).orElse(format.label());
            print(name, label, longest, bytes, json.console(console).out());
            json.write(json(duo, name, label, device, longest, bytes), console);
        }
    }

    private static Requirements requirements(ModelConfig config, String name, WeightSource stored) {
        return new Requirements(
                name,
                config.shape(),
                stored.dtypes(),
                BlockFormat.F16,
                stored.isQuantized() ? Set.of(Capability.QUANTIZED_WEIGHTS) : Set.of());
    }

    private static String label(WeightSource stored) {
        return stored.isQuantized()
                ? "quantised"
                : String.join(
                        "+",
                        stored.dtypes().stream()
                                .map(type -> type.name().toLowerCase(Locale.ROOT))
                                .toList());
    }

    /** Bytes of the weights as the checkpoint stores them; what the forward pass does not use is not loaded. */
    private static long storedBytes(Device device, WeightSource stored, ModelConfig config) {
        long bytes = 0;
        for (ModelTensors.Entry entry : ModelTensors.of(config)) {
            long[] shape = entry.shape().stream().mapToLong(Long::longValue).toArray();
            try (Arena decoded = Arena.ofShared()) {
                bytes += !entry.isMatrix()
                        ? stored.get(entry.name(), shape).data().byteSize()
                        : switch (stored.matrix(entry.name(), shape[0], shape[1], decoded)) {
                            case HostTensor dense -> dense.data().byteSize();
                            case QuantizedMatrix quantized -> device.bytes(quantized.spec());
                        };
            }
        }
        return bytes;
    }

    private void print(String name, String label, SessionPlan longest, Bytes bytes, PrintStream out) {
        out.printf(
                Locale.ROOT,
                "%s, weights %s, kv %s, policy %s: %,d tokens in %,d bytes%n",
                name,
                label,
                KvType.name(
                        longest.options().kv(), longest.cache().plan().shape().headDim()),
                longest.options().policy(),
                longest.options().maxContext(),
                memory);
        out.printf(Locale.ROOT, "  weights       %,18d%n", bytes.weights());
        out.printf(Locale.ROOT, "  retrieval KV  %,18d%n", bytes.retrievalKv());
        out.printf(Locale.ROOT, "  streaming KV  %,18d%n", bytes.streamingKv());
        out.printf(Locale.ROOT, "  activations   %,18d%n", bytes.activations());
        out.printf(Locale.ROOT, "  other         %,18d%n", bytes.other());
        out.printf(Locale.ROOT, "  free          %,18d%n", memory - bytes.total());
    }

    private ObjectNode json(Duo duo, String name, String label, Device device, SessionPlan longest, Bytes bytes) {
        ObjectNode json = JsonOption.object().put("maxTokens", longest.options().maxContext());
        json.putObject("bytes")
                .put("weights", bytes.weights())
                .put("retrievalKv", bytes.retrievalKv())
                .put("streamingKv", bytes.streamingKv())
                .put("activations", bytes.activations())
                .put("other", bytes.other());
        json.put("memory", memory)
                .put("model", name)
                .put("backend", device.backendId())
                .put("weights", label)
                .put(
                        "kv",
                        KvType.name(
                                longest.options().kv(),
                                longest.cache().plan().shape().headDim()))
                .put(
                        "streamingKv",
                        KvType.name(
                                longest.options().streamingKv(),
                                longest.cache().plan().shape().headDim()))
                .put("policy", longest.options().policy())
                .put("chunk", longest.options().chunk());
        Set<PlanInput> inputs =
                duo.policies().require(longest.options().policy()).inputs();
        if (inputs.contains(PlanInput.WINDOW)) {
            json.put("sink", longest.options().sinks())
                    .put("recent", longest.options().recent());
        }
        if (inputs.contains(PlanInput.HEADS)) {
            json.put("retrievalHeads", longest.options().heads().retrievalCount())
                    .put("heads", longest.options().heads().headCount());
        }
        return json;
    }
}

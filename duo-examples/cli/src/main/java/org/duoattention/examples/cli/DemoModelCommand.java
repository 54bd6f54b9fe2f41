package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.duoattention.api.head.HeadMask;
import org.duoattention.identify.constructed.ConstructedModel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code duo demo-model}: writes a checkpoint whose retrieval heads are known. */
@Command(
        name = "demo-model",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Writes a small checkpoint by rule, not by training: it is known exactly which of its heads are retrieval heads,"
                    + " and it finds passkeys at a million tokens and more.",
            "Try it with: duo needle --model DIR --heads DIR/heads --threshold 0.5"
        })
final class DemoModelCommand implements Callable<Integer> {
    private final Console console;

    @Option(names = "--out", paramLabel = "DIR", required = true, description = "A new or an empty directory.")
    private Path out = Path.of("");

    @Option(
            names = "--context",
            paramLabel = "N",
            defaultValue = "1000000",
            description = "Tokens that the checkpoint says it can read (default: ${DEFAULT-VALUE}).")
    private long context;

    @Option(
            names = "--seed",
            paramLabel = "SEED",
            defaultValue = "0",
            description = "Order of the heads (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Option(
            names = "--decoys",
            paramLabel = "N",
            defaultValue = "0",
            description = "Heads that pay attention to passkeys and are not needed, 0 to " + ConstructedModel.MAX_DECOYS
                    + " (default: ${DEFAULT-VALUE}).")
    private int decoys;

    DemoModelCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        ConstructedModel model = new ConstructedModel(new ConstructedModel.Spec(context, seed, decoys));
        Outputs.checkDirectory(out, "--out");
        model.writeTo(out);
        console.out()
                .println(out + ": " + model.shape().layers() + " layers x "
                        + model.shape().kvHeads()
                        + " KV heads, context " + context + "; retrieval heads " + list(model.trueHeads())
                        + " (layer.head), as a pattern in " + out.resolve("heads")
                        + (decoys == 0 ? "" : "; decoys " + list(model.decoys())));
        return ExitCode.OK;
    }

    private static String list(HeadMask heads) {
        StringBuilder text = new StringBuilder();
        for (int layer = 0; layer < heads.layers(); layer++) {
            int current = layer;
            heads.retrieval(layer).stream()
                    .forEach(head -> text.append(text.isEmpty() ? "" : ", ")
                            .append(current)
                            .append('.')
                            .append(head));
        }
        return text.toString();
    }
}

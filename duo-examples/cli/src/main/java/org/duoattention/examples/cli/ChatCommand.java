package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.template.ChatTemplate;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code duo chat}: a conversation; the cache is kept from turn to turn. */
@Command(
        name = "chat",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Talks with a model. /exit or Ctrl-D ends, /reset begins anew, Ctrl-C stops an answer.",
            "The model's chat template writes the prompts; without one, or with --plain, lines are fed as they are."
        })
final class ChatCommand implements Callable<Integer> {
    private static final long DEFAULT_CONTEXT = 8192;

    private final Console console;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            required = true,
            description = "Checkpoint directory, or GGUF file.")
    private Path modelPath = Path.of("");

    @Option(names = "--system", paramLabel = "TEXT", description = "System message; needs a chat template.")
    private @Nullable String system;

    @Option(names = "--plain", description = "Feed lines as they are, without the chat template.")
    private boolean plain;

    @Option(
            names = "--max-context",
            paramLabel = "N",
            description = "Longest conversation in tokens (default: what the model was made for, at most 8192).")
    private @Nullable Long maxContext;

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
    private ModelOptions model = new ModelOptions();

    ChatCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        GenerationRequest request = sampling.request();
        Duo duo = Wiring.duo();
        String chosen = policy != null ? policy : cache.namesHeads() ? "duo" : "full";
        cache.check(duo, List.of(chosen), false);
        Ranges.atLeast("--max-context", maxContext, 1);
        try (Model opened = model.open(duo, modelPath)) {
            Optional<ChatTemplate> template = template(opened);
            long context = maxContext == null ? Math.min(opened.config().contextLimit(), DEFAULT_CONTEXT) : maxContext;
            Optional<CacheOptions.Heads> heads = cache.heads(duo, opened, Optional.empty());
            SessionBuilder sessions = cache.session(duo, opened, chosen, heads, SessionBuilder.DEFAULT_CHUNK)
                    .maxContext(context);
            try (Conversation conversation = new Conversation(opened, sessions, template, system, request);
                    LineSource lines = LineSource.of(console)) {
                talk(conversation, lines);
            }
        }
        return ExitCode.OK;
    }

    private Optional<ChatTemplate> template(Model opened) {
        Optional<ChatTemplate> template = plain ? Optional.empty() : opened.chatTemplate();
        if (template.isEmpty() && system != null) {
            throw new DuoException("--system needs a chat template; "
                    + (plain ? "leave --plain out" : "--model " + modelPath + " has none"));
        }
        return template;
    }

    private void talk(Conversation conversation, LineSource lines) {
        lines.onInterrupt(conversation::cancel);
        while (true) {
            String line = lines.next("> ");
            if (line == null || line.strip().equals("/exit")) {
                return;
            }
            try {
                if (line.strip().equals("/reset")) {
                    conversation.reset();
                } else if (!line.isBlank()) {
                    conversation.turn(line, console);
                }
            } catch (DuoException e) {
                console.err().println("duo: " + e.getMessage());
            }
        }
    }
}

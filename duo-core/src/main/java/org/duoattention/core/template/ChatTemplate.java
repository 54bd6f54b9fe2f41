package org.duoattention.core.template;

import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;

/**
 * Writes a conversation as the prompt that a model was trained on, by rendering the Jinja template of its checkpoint the way
 * transformers does ({@code trim_blocks}, {@code lstrip_blocks}, the immutable sandbox, loop controls, {@code tojson} without
 * HTML escapes).
 *
 * <p>The part of Jinja that chat templates use is implemented; anything else is an error that names the construct and its line,
 * never a prompt that is nearly right. Differences that remain are errors too: integers of more than 64 bits, printing of
 * functions and generators, arithmetic and methods on text marked by {@code safe}. A rendering has a budget of work, text and
 * depth, so a hostile template ends with an error.
 *
 * <p>Immutable; may be used by several threads at once.
 */
public final class ChatTemplate {
    static final String DEFAULT = "default";
    private static final String TOOL_USE = "tool_use";
    private static final long BASE_UNITS = 10_000_000;
    private static final long UNITS_PER_CHARACTER = 64;
    private static final long BASE_TEXT = 16_000_000;
    private static final long TEXT_PER_CHARACTER = 4;
    private static final int MAX_SOURCE = 4_000_000;

    private final String origin;
    private final Map<String, String> sources;
    private final Map<String, String> specialTokens;
    private final Clock clock;
    private final Map<String, List<Stmt>> parsed = new ConcurrentHashMap<>();

    ChatTemplate(String origin, Map<String, String> sources, Map<String, String> specialTokens, Clock clock) {
        this.origin = origin;
        this.sources = Map.copyOf(sources);
        this.specialTokens = Map.copyOf(specialTokens);
        this.clock = clock;
    }

    /** Whether {@link #load} would find a template in the checkpoint directory. */
    public static boolean isPresent(Path directory) {
        return !TemplateFiles.sources(directory).isEmpty();
    }

    /**
     * The template of a checkpoint directory: {@code chat_template.jinja} (with further ones in {@code
     * additional_chat_templates}), else {@code chat_template} of {@code tokenizer_config.json}, else {@code
     * chat_template.json}.
     *
     * @throws DuoException if there is none, a file is malformed, or the default template has an unsupported statement
     */
    public static ChatTemplate load(Path directory) {
        return TemplateFiles.load(directory);
    }

    /**
     * A template given as text.
     *
     * @param specialTokens variables such as {@code bos_token}
     */
    public static ChatTemplate of(String source, Map<String, String> specialTokens) {
        return of("The chat template", Map.of(DEFAULT, source), specialTokens);
    }

    /**
     * Templates by name, for checkpoints that keep them in another form.
     *
     * @param origin what they are, as the start of a message's sentence
     * @param sources template by name; the usual one is named {@code default}
     * @param specialTokens variables such as {@code bos_token}
     * @throws DuoException if the default template has an unsupported statement
     */
    public static ChatTemplate of(String origin, Map<String, String> sources, Map<String, String> specialTokens) {
        ChatTemplate template = new ChatTemplate(origin, sources, specialTokens, Clock.systemDefaultZone());
        template.check();
        return template;
    }

    /** The same template with another source of time for {@code strftime_now}. */
    public ChatTemplate withClock(Clock other) {
        return new ChatTemplate(origin, sources, specialTokens, other);
    }

    /**
     * Renders the prompt. A checkpoint's template named {@code tool_use} is taken when there are tools, the default one
     * otherwise.
     *
     * @param messages JSON objects with {@code role} and {@code content}: maps, or Jackson trees
     * @param tools JSON schemas of the functions the model may call; null for none
     * @param addGenerationPrompt whether the prompt ends where the assistant's answer begins
     * @param variables further variables that the template knows, such as {@code enable_thinking}
     * @throws DuoException if the template refuses the conversation ({@code raise_exception}), or fails, or has an
     *     unsupported construct
     */
    public String render(
            Iterable<?> messages,
            @Nullable Iterable<?> tools,
            boolean addGenerationPrompt,
            Map<String, ? extends @Nullable Object> variables) {
        JsonValues json = new JsonValues();
        Scope scope = new Scope(null);
        specialTokens.forEach(scope::set);
        scope.set("documents", None.NONE);
        variables.forEach((name, value) -> {
            if (name.equals("messages") || name.equals("tools") || name.equals("add_generation_prompt")) {
                throw new DuoException("The template variable '" + name + "' is set by the conversation itself;"
                        + " expected another name.");
            }
            scope.set(name, json.value(value, "The template variable '" + name + "'"));
        });
        scope.set("messages", json.value(list(messages), "The list of messages"));
        scope.set("tools", tools == null ? None.NONE : json.value(list(tools), "The list of tools"));
        scope.set("add_generation_prompt", addGenerationPrompt);
        return run(name(tools != null), scope, json.characters());
    }

    private static Object list(Iterable<?> items) {
        if (items instanceof List || items instanceof tools.jackson.databind.JsonNode) {
            return items;
        }
        throw new DuoException("Messages and tools must be JSON arrays, not "
                + items.getClass().getName() + ".");
    }

    private String name(boolean withTools) {
        if (withTools && sources.containsKey(TOOL_USE)) {
            return TOOL_USE;
        }
        if (!sources.containsKey(DEFAULT)) {
            throw new DuoException(origin + " has the templates "
                    + sources.keySet().stream().sorted().toList() + " but none named \"default\".");
        }
        return DEFAULT;
    }

    private String run(String name, Scope scope, long characters) {
        List<Stmt> body = body(name);
        Budget budget =
                new Budget(BASE_UNITS + UNITS_PER_CHARACTER * characters, BASE_TEXT + TEXT_PER_CHARACTER * characters);
        Evaluator evaluator = new Evaluator(budget, new Globals(clock));
        try {
            return new Renderer(evaluator).apart(body, scope);
        } catch (TemplateRefusal e) {
            throw new DuoException(origin + " refuses the conversation: " + oneLine(String.valueOf(e.getMessage())), e);
        } catch (TemplateFault e) {
            throw fault(evaluator.line(), String.valueOf(e.getMessage()), e);
        }
    }

    /** Parses the default template, so that its errors show when it is loaded. */
    void check() {
        if (sources.containsKey(DEFAULT)) {
            body(DEFAULT);
        }
    }

    private List<Stmt> body(String name) {
        return parsed.computeIfAbsent(name, key -> {
            String source = sources.getOrDefault(key, "");
            if (source.length() > MAX_SOURCE) {
                throw new DuoException(
                        origin + " has " + source.length() + " characters; expected at most " + MAX_SOURCE + ".");
            }
            try {
                return StatementParser.parse(source);
            } catch (LocatedFault e) {
                throw fault(e.line(), String.valueOf(e.getMessage()), e);
            }
        });
    }

    private DuoException fault(int line, String message, Throwable cause) {
        return new DuoException(
                origin + ", line " + line + ": " + oneLine(message)
                        + "; use --prompt with the finished text if the template" + " cannot be changed.",
                cause);
    }

    /** A template may put anything into its complaint; a sentence for people is one line. */
    private static String oneLine(String message) {
        return message.replaceAll("\\p{Cntrl}", " ");
    }
}

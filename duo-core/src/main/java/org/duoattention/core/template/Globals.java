package org.duoattention.core.template;

import java.time.Clock;
import java.time.LocalDateTime;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The functions every template can call: Jinja's own and the two that transformers adds. */
final class Globals {
    /** The sandbox's limit, kept so that a template fails here where it fails there. */
    private static final long MAX_RANGE = 100_000;

    private static final Set<String> UNSUPPORTED = Set.of("lipsum", "cycler", "joiner", "self", "super");

    private final Map<String, Object> functions = new HashMap<>();

    Globals(Clock clock) {
        add("range", Globals::range);
        add("dict", arguments -> entries("dict", arguments));
        add("namespace", Globals::namespace);
        add("raise_exception", arguments -> {
            Object message = arguments.bind("raise_exception", "message").require("message");
            throw new TemplateRefusal(PythonText.str(message));
        });
        add("strftime_now", arguments -> {
            String format = arguments.bind("strftime_now", "format").text("format");
            return Strftime.format(LocalDateTime.now(clock), format);
        });
    }

    private void add(String name, java.util.function.Function<Arguments, Object> body) {
        functions.put(name, new Attributes.Builtin(name, body));
    }

    Object find(String name) {
        if (UNSUPPORTED.contains(name)) {
            throw TemplateFault.unsupported("'" + name + "'");
        }
        return functions.getOrDefault(name, Undefined.name(name));
    }

    private static Object range(Arguments arguments) {
        Arguments.Bound bound = arguments.bind("range", "start", "stop", "step");
        long first = Values.index(bound.require("start"), "the start of range()");
        long step = bound.integer("step", 1L);
        if (step == 0) {
            throw new TemplateFault("the step of range() is zero");
        }
        Range range = bound.has("stop") ? new Range(first, bound.integer("stop", 0L), step) : new Range(0, first, 1);
        try {
            if (range.size() <= MAX_RANGE) {
                return range;
            }
        } catch (ArithmeticException e) {
            // longer than a long can say, told below
        }
        throw new TemplateFault("a range has more than " + MAX_RANGE + " numbers");
    }

    private static Object namespace(Arguments arguments) {
        Namespace namespace = new Namespace();
        entries("namespace", arguments).forEach((key, value) -> namespace.attributes.put(PythonText.str(key), value));
        return namespace;
    }

    /** What {@code dict(...)} takes: a mapping or a list of pairs, then names. */
    private static Map<Object, Object> entries(String function, Arguments arguments) {
        Map<Object, Object> entries = Values.newMap();
        if (arguments.positional().size() > 1) {
            throw new TemplateFault(function + "() takes at most one positional argument");
        }
        for (Object first : arguments.positional()) {
            if (first instanceof Map<?, ?> map) {
                entries.putAll(map);
            } else {
                for (Object pair : Values.items(first)) {
                    List<Object> both = Values.items(pair);
                    if (both.size() != 2) {
                        throw new TemplateFault(function + "() needs pairs of key and value");
                    }
                    Values.put(entries, both.get(0), both.get(1));
                }
            }
        }
        entries.putAll(arguments.named());
        return entries;
    }
}

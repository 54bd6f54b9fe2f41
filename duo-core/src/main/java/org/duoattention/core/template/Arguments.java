package org.duoattention.core.template;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Evaluated arguments of a call, a filter or a test. */
record Arguments(List<Object> positional, Map<String, Object> named) {
    static final Arguments EMPTY = new Arguments(List.of(), Map.of());

    /**
     * Matches the arguments with a builtin's parameters, in order. An argument that the builtin does not know is an error: it
     * would otherwise be ignored.
     */
    Bound bind(String function, String... parameters) {
        if (positional.size() > parameters.length) {
            throw new TemplateFault(
                    function + "() takes at most " + parameters.length + " arguments, not " + positional.size());
        }
        Map<String, Object> bound = new LinkedHashMap<>();
        for (int i = 0; i < positional.size(); i++) {
            bound.put(parameters[i], positional.get(i));
        }
        for (Map.Entry<String, Object> argument : named.entrySet()) {
            if (!Arrays.asList(parameters).contains(argument.getKey())) {
                throw TemplateFault.unsupported("the argument '" + argument.getKey() + "' of " + function + "()");
            }
            if (bound.put(argument.getKey(), argument.getValue()) != null) {
                throw new TemplateFault(function + "() got two values for the argument '" + argument.getKey() + "'");
            }
        }
        return new Bound(function, bound);
    }

    /** The arguments without the first {@code count} positional ones. */
    Arguments skip(int count) {
        return new Arguments(positional.subList(count, positional.size()), named);
    }

    /** Arguments by parameter name. */
    record Bound(String function, Map<String, Object> values) {
        boolean has(String parameter) {
            return values.containsKey(parameter);
        }

        Object get(String parameter, Object otherwise) {
            return values.getOrDefault(parameter, otherwise);
        }

        Object require(String parameter) {
            Object value = values.get(parameter);
            if (value == null) {
                throw new TemplateFault(function + "() is missing the argument '" + parameter + "'");
            }
            return value;
        }

        boolean isTrue(String parameter, boolean otherwise) {
            return Values.truth(get(parameter, otherwise));
        }

        /** A string argument, which is not converted from other types. */
        String text(String parameter) {
            if (require(parameter) instanceof String text) {
                return text;
            }
            throw new TemplateFault("the argument '" + parameter + "' of " + function + "() must be a string, not "
                    + Values.typeName(require(parameter)));
        }

        long integer(String parameter, long otherwise) {
            return Values.index(get(parameter, otherwise), "the argument '" + parameter + "' of " + function + "()");
        }
    }
}

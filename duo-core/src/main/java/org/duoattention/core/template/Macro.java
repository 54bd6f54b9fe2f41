package org.duoattention.core.template;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A macro with the scope it was defined in. */
final class Macro implements Function {
    private final Stmt.MacroBody macro;
    private final Scope outer;
    private final Renderer renderer;

    Macro(Stmt.MacroBody macro, Scope outer, Renderer renderer) {
        this.macro = macro;
        this.outer = outer;
        this.renderer = renderer;
    }

    @Override
    public String name() {
        return macro.name();
    }

    @Override
    public Object call(Arguments arguments) {
        Map<String, Object> named = new LinkedHashMap<>(arguments.named());
        List<Object> positional = arguments.positional();
        List<Stmt.Parameter> parameters = macro.parameters();
        Scope scope = new Scope(outer);
        for (int i = 0; i < parameters.size(); i++) {
            Stmt.Parameter parameter = parameters.get(i);
            @Nullable Object given = i < positional.size() ? positional.get(i) : named.remove(parameter.name());
            scope.set(parameter.name(), given != null ? given : byDefault(parameter, scope));
        }
        if (macro.usesCaller() && parameters.stream().noneMatch(p -> p.name().equals("caller"))) {
            @Nullable Object caller = named.remove("caller");
            scope.set("caller", caller != null ? caller : new Undefined("No caller defined"));
        }
        extras(scope, positional, named);
        return renderer.apart(macro.body(), scope);
    }

    private Object byDefault(Stmt.Parameter parameter, Scope scope) {
        return parameter.defaultValue() != null
                ? renderer.evaluator().evaluate(parameter.defaultValue(), scope)
                : new Undefined("parameter '" + parameter.name() + "' was not provided");
    }

    private void extras(Scope scope, List<Object> positional, Map<String, Object> named) {
        if (macro.usesExtraNamed()) {
            Map<Object, Object> extra = Values.newMap();
            extra.putAll(named);
            scope.set("kwargs", extra);
        } else if (!named.isEmpty()) {
            throw new TemplateFault("the macro '" + name() + "' takes no argument '"
                    + named.keySet().iterator().next() + "'");
        }
        int count = macro.parameters().size();
        if (macro.usesExtraPositional()) {
            scope.set("varargs", new Tuple(positional.subList(Math.min(count, positional.size()), positional.size())));
        } else if (positional.size() > count) {
            throw new TemplateFault("the macro '" + name() + "' takes at most " + count + " arguments");
        }
    }
}

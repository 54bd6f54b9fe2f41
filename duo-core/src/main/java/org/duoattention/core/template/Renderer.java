package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/** Runs the statements of one rendering. */
final class Renderer {
    private enum Flow {
        NEXT,
        BREAK,
        CONTINUE
    }

    private final Evaluator evaluator;
    private final Budget budget;

    Renderer(Evaluator evaluator) {
        this.evaluator = evaluator;
        this.budget = evaluator.budget;
    }

    Evaluator evaluator() {
        return evaluator;
    }

    /** The text that the statements write, apart from the text around them. */
    String apart(List<Stmt> body, Scope scope) {
        StringBuilder out = new StringBuilder();
        run(body, scope, out);
        return out.toString();
    }

    private Flow run(List<Stmt> body, Scope scope, StringBuilder out) {
        budget.enter();
        Flow flow = Flow.NEXT;
        for (int i = 0; i < body.size() && flow == Flow.NEXT; i++) {
            budget.step();
            flow = run(body.get(i), scope, out);
        }
        budget.leave();
        return flow;
    }

    private Flow run(Stmt statement, Scope scope, StringBuilder out) {
        switch (statement) {
            case Stmt.Text text -> write(text.text(), out);
            case Stmt.Output output -> {
                evaluator.at(output.line());
                write(PythonText.str(evaluator.evaluate(output.value(), scope), budget), out);
            }
            case Stmt.If choice -> {
                for (Stmt.Branch branch : choice.branches()) {
                    if (Values.truth(evaluator.evaluate(branch.test(), scope))) {
                        return run(branch.body(), scope, out);
                    }
                }
                return run(choice.otherwise(), scope, out);
            }
            case Stmt.For loop -> {
                return loop(loop, scope, out);
            }
            case Stmt.Break stop -> {
                return Flow.BREAK;
            }
            case Stmt.Continue skip -> {
                return Flow.CONTINUE;
            }
            case Stmt.Set set -> assign(set.target(), evaluator.evaluate(set.value(), scope), scope, set.line());
            case Stmt.SetBlock set -> {
                Object value = filtered(set.filters(), apart(set.body(), new Scope(scope)), scope);
                assign(set.target(), value, scope, set.line());
            }
            case Stmt.FilterBlock block ->
                write(
                        PythonText.str(filtered(block.filters(), apart(block.body(), new Scope(scope)), scope), budget),
                        out);
            case Stmt.MacroDefinition definition ->
                scope.set(definition.macro().name(), new Macro(definition.macro(), scope, this));
            case Stmt.CallBlock block -> call(block, scope, out);
            case Stmt.Scoped block -> {
                return scoped(block, scope, out);
            }
        }
        return Flow.NEXT;
    }

    private void write(String text, StringBuilder out) {
        budget.text(text.length());
        out.append(text);
        budget.checkLength(out.length());
    }

    private Object filtered(List<Expr.FilterUse> filters, String text, Scope scope) {
        Object value = text;
        for (Expr.FilterUse filter : filters) {
            value = evaluator.filter(filter, value, scope);
        }
        return value;
    }

    private void call(Stmt.CallBlock block, Scope scope, StringBuilder out) {
        Macro caller = new Macro(block.caller(), scope, this);
        Object result = evaluator.call((Expr.Call) block.call(), scope, Map.of("caller", caller));
        write(PythonText.str(result, budget), out);
    }

    private Flow scoped(Stmt.Scoped block, Scope scope, StringBuilder out) {
        Scope inner = new Scope(scope);
        List<Object> values = new ArrayList<>();
        for (Expr value : block.values()) {
            values.add(evaluator.evaluate(value, scope));
        }
        for (int i = 0; i < values.size(); i++) {
            assign(block.targets().get(i), values.get(i), inner, block.line());
        }
        return run(block.body(), inner, out);
    }

    private Flow loop(Stmt.For loop, Scope scope, StringBuilder out) {
        Object source = evaluator.evaluate(loop.source(), scope);
        evaluator.at(loop.line());
        if (Values.isIterable(source) && !(source instanceof Generator)) {
            budget.items(Values.length(source));
        }
        Iterator<Object> items = Values.items(source).iterator();
        if (loop.filter() != null) {
            items = new Filtering(items, loop.target(), loop.filter(), scope, loop.line());
        }
        LoopState state = new LoopState(items, evaluator.comparisons);
        boolean finishedRound = false;
        while (state.hasNext()) {
            Scope round = new Scope(scope);
            assign(loop.target(), state.next(), round, loop.line());
            round.set("loop", state);
            Flow flow = run(loop.body(), round, out);
            finishedRound |= flow == Flow.NEXT;
            if (flow == Flow.BREAK) {
                break;
            }
        }
        // Jinja takes a loop as empty when no round has come to the end of the body.
        return finishedRound ? Flow.NEXT : run(loop.otherwise(), new Scope(scope), out);
    }

    private void assign(Stmt.Target target, Object value, Scope scope, int line) {
        switch (target) {
            case Stmt.Target.Variable variable -> scope.set(variable.name(), value);
            case Stmt.Target.Unpacked unpacked -> {
                evaluator.at(line);
                List<Object> items = Values.items(value);
                if (items.size() != unpacked.targets().size()) {
                    throw new TemplateFault(
                            unpacked.targets().size() + " names cannot take " + items.size() + " values");
                }
                for (int i = 0; i < items.size(); i++) {
                    assign(unpacked.targets().get(i), items.get(i), scope, line);
                }
            }
            case Stmt.Target.NamespaceAttribute attribute -> {
                evaluator.at(line);
                if (scope.find(attribute.namespace()) instanceof Namespace namespace) {
                    namespace.attributes.put(attribute.attribute(), value);
                } else {
                    throw new TemplateFault("'" + attribute.namespace() + "' is not a namespace, so '"
                            + attribute.namespace() + "." + attribute.attribute() + "' cannot be set");
                }
            }
        }
    }

    /** The items for which a loop's own condition holds, tried one by one as they are asked for. */
    private final class Filtering implements Iterator<Object> {
        private final Iterator<Object> items;
        private final Stmt.Target target;
        private final Expr filter;
        private final Scope scope;
        private final int line;
        private @Nullable Object found;

        Filtering(Iterator<Object> items, Stmt.Target target, Expr filter, Scope scope, int line) {
            this.items = items;
            this.target = target;
            this.filter = filter;
            this.scope = scope;
            this.line = line;
        }

        @Override
        public boolean hasNext() {
            while (found == null && items.hasNext()) {
                Object item = items.next();
                Scope round = new Scope(scope);
                assign(target, item, round, line);
                if (Values.truth(evaluator.evaluate(filter, round))) {
                    found = item;
                }
            }
            return found != null;
        }

        @Override
        public Object next() {
            if (!hasNext() || found == null) {
                throw new NoSuchElementException();
            }
            Object next = found;
            found = null;
            return next;
        }
    }
}

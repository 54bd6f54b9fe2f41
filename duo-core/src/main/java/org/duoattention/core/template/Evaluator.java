package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Computes expressions. */
final class Evaluator {
    final Budget budget;
    final Comparisons comparisons;
    private final Globals globals;
    private final Arithmetic arithmetic;
    private final Attributes attributes;
    private final Tests tests;
    private final Filters filters;
    /** The line of the operation that was begun last; where a fault is reported. */
    private int line = 1;

    Evaluator(Budget budget, Globals globals) {
        this.budget = budget;
        this.globals = globals;
        this.comparisons = new Comparisons(budget);
        this.arithmetic = new Arithmetic(budget);
        StringMethods strings = new StringMethods(budget);
        this.attributes = new Attributes(budget, strings, comparisons);
        this.tests = new Tests(comparisons, arithmetic);
        this.filters = new Filters(budget, strings, comparisons, tests, attributes);
    }

    int line() {
        return line;
    }

    void at(int newLine) {
        line = newLine;
    }

    Object evaluate(Expr expression, Scope scope) {
        budget.step();
        budget.enter();
        Object value = switch (expression) {
            case Expr.Literal literal -> literal.value();
            case Expr.Name name -> name(name, scope);
            case Expr.ListOf list -> all(list.items(), scope);
            case Expr.TupleOf tuple -> new Tuple(all(tuple.items(), scope));
            case Expr.DictOf dict -> dict(dict, scope);
            case Expr.Attribute attribute -> {
                Object target = evaluate(attribute.target(), scope);
                line = attribute.line();
                yield attributes.attribute(target, attribute.name());
            }
            case Expr.Item item -> {
                Object target = evaluate(item.target(), scope);
                Object index = evaluate(item.index(), scope);
                line = item.line();
                yield attributes.item(target, index);
            }
            case Expr.Slice slice -> slice(slice, scope);
            case Expr.Call call -> call(call, scope, Map.of());
            case Expr.Filtered filtered -> {
                Object target = evaluate(filtered.target(), scope);
                yield filter(filtered.filter(), target, scope);
            }
            case Expr.Tested tested -> {
                Object target = evaluate(tested.target(), scope);
                Arguments arguments = arguments(tested.arguments(), scope);
                line = tested.line();
                yield tests.test(tested.test(), target, arguments) != tested.negated();
            }
            case Expr.Unary unary -> {
                Object operand = evaluate(unary.operand(), scope);
                line = unary.line();
                yield arithmetic.unary(unary.operator(), operand);
            }
            case Expr.Binary binary -> {
                Object left = evaluate(binary.left(), scope);
                Object right = evaluate(binary.right(), scope);
                line = binary.line();
                yield arithmetic.binary(binary.operator(), left, right);
            }
            case Expr.Not not -> !Values.truth(evaluate(not.operand(), scope));
            case Expr.And and -> {
                Object left = evaluate(and.left(), scope);
                yield Values.truth(left) ? evaluate(and.right(), scope) : left;
            }
            case Expr.Or or -> {
                Object left = evaluate(or.left(), scope);
                yield Values.truth(left) ? left : evaluate(or.right(), scope);
            }
            case Expr.Concat concat -> concat(concat, scope);
            case Expr.Compare compare -> compare(compare, scope);
            case Expr.Conditional conditional -> conditional(conditional, scope);
        };
        budget.leave();
        return value;
    }

    private Object name(Expr.Name name, Scope scope) {
        line = name.line();
        @Nullable Object value = scope.find(name.name());
        return value != null ? value : globals.find(name.name());
    }

    private List<Object> all(List<Expr> expressions, Scope scope) {
        List<Object> values = new ArrayList<>();
        for (Expr expression : expressions) {
            values.add(evaluate(expression, scope));
        }
        return values;
    }

    private Object dict(Expr.DictOf dict, Scope scope) {
        Map<Object, Object> map = Values.newMap();
        for (Expr.Entry entry : dict.entries()) {
            Object key = evaluate(entry.key(), scope);
            Object value = evaluate(entry.value(), scope);
            line = dict.line();
            Values.put(map, key, value);
        }
        return map;
    }

    private Object slice(Expr.Slice slice, Scope scope) {
        Object target = evaluate(slice.target(), scope);
        Object start = evaluate(slice.start(), scope);
        Object stop = evaluate(slice.stop(), scope);
        Object step = evaluate(slice.step(), scope);
        line = slice.line();
        return arithmetic.slice(target, start, stop, step);
    }

    Object call(Expr.Call call, Scope scope, Map<String, Object> more) {
        Object target = evaluate(call.target(), scope);
        Arguments arguments = arguments(call.arguments(), scope);
        line = call.line();
        Values.requireDefined(target);
        if (target instanceof Function function) {
            if (!more.isEmpty()) {
                Map<String, Object> named = new LinkedHashMap<>(arguments.named());
                named.putAll(more);
                arguments = new Arguments(arguments.positional(), named);
            }
            return function.call(arguments);
        }
        throw new TemplateFault("a value of type " + Values.typeName(target) + " cannot be called");
    }

    private Arguments arguments(Expr.CallArguments arguments, Scope scope) {
        if (arguments == Expr.CallArguments.NONE) {
            return Arguments.EMPTY;
        }
        List<Object> positional = all(arguments.positional(), scope);
        Map<String, Object> named = new LinkedHashMap<>();
        for (Expr.Named argument : arguments.named()) {
            put(named, argument.name(), evaluate(argument.value(), scope));
        }
        if (arguments.unpackedList() != null) {
            positional.addAll(Values.items(evaluate(arguments.unpackedList(), scope)));
        }
        if (arguments.unpackedMap() != null) {
            if (!(evaluate(arguments.unpackedMap(), scope) instanceof Map<?, ?> map)) {
                throw new TemplateFault("'**' needs a mapping");
            }
            map.forEach((key, value) -> put(named, PythonText.str(key), value));
        }
        return new Arguments(positional, named);
    }

    private static void put(Map<String, Object> named, String name, Object value) {
        if (named.put(name, value) != null) {
            throw new TemplateFault("the argument '" + name + "' is given twice");
        }
    }

    Object filter(Expr.FilterUse filter, Object target, Scope scope) {
        Arguments arguments = arguments(filter.arguments(), scope);
        line = filter.line();
        return filters.apply(filter.name(), target, arguments);
    }

    private String concat(Expr.Concat concat, Scope scope) {
        StringBuilder text = new StringBuilder();
        for (Expr part : concat.parts()) {
            text.append(PythonText.str(evaluate(part, scope), budget));
            budget.text(text.length());
        }
        return text.toString();
    }

    private Object compare(Expr.Compare compare, Scope scope) {
        Object left = evaluate(compare.first(), scope);
        for (Expr.Comparison comparison : compare.rest()) {
            Object right = evaluate(comparison.operand(), scope);
            line = compare.line();
            boolean holds = switch (comparison.operator()) {
                case "==" -> comparisons.equal(left, right);
                case "!=" -> !comparisons.equal(left, right);
                case "in" -> comparisons.contains(right, left);
                case "not in" -> !comparisons.contains(right, left);
                default -> comparisons.isOrdered(comparison.operator(), left, right);
            };
            if (!holds) {
                return false;
            }
            left = right;
        }
        return true;
    }

    private Object conditional(Expr.Conditional conditional, Scope scope) {
        if (Values.truth(evaluate(conditional.test(), scope))) {
            return evaluate(conditional.then(), scope);
        }
        return conditional.otherwise() != null
                ? evaluate(conditional.otherwise(), scope)
                : new Undefined("the inline if-expression on line " + conditional.line()
                        + " evaluated to false and no else section was defined");
    }
}

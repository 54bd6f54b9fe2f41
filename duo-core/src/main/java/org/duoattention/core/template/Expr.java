package org.duoattention.core.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The expressions of a template. */
sealed interface Expr {
    record Literal(Object value) implements Expr {}

    record Name(int line, String name) implements Expr {}

    record ListOf(List<Expr> items) implements Expr {}

    record TupleOf(List<Expr> items) implements Expr {}

    record DictOf(int line, List<Entry> entries) implements Expr {}

    record Entry(Expr key, Expr value) {}

    /** {@code target.name} */
    record Attribute(int line, Expr target, String name) implements Expr {}

    /** {@code target[index]} */
    record Item(int line, Expr target, Expr index) implements Expr {}

    /** {@code target[start:stop:step]}, with None for what is left out. */
    record Slice(int line, Expr target, Expr start, Expr stop, Expr step) implements Expr {}

    record Call(int line, Expr target, CallArguments arguments) implements Expr {}

    record Filtered(Expr target, FilterUse filter) implements Expr {}

    record Tested(int line, Expr target, String test, CallArguments arguments, boolean negated) implements Expr {}

    record Unary(int line, char operator, Expr operand) implements Expr {}

    record Binary(int line, String operator, Expr left, Expr right) implements Expr {}

    record Not(Expr operand) implements Expr {}

    record And(Expr left, Expr right) implements Expr {}

    record Or(Expr left, Expr right) implements Expr {}

    /** {@code a ~ b ~ c} */
    record Concat(List<Expr> parts) implements Expr {}

    /** {@code a < b <= c} */
    record Compare(int line, Expr first, List<Comparison> rest) implements Expr {}

    record Comparison(String operator, Expr operand) {}

    record Conditional(
            int line, Expr test, Expr then, @Nullable Expr otherwise) implements Expr {}

    record FilterUse(int line, String name, CallArguments arguments) {}

    record CallArguments(
            List<Expr> positional,
            List<Named> named,
            @Nullable Expr unpackedList,
            @Nullable Expr unpackedMap) {
        static final CallArguments NONE = new CallArguments(List.of(), List.of(), null, null);
    }

    record Named(String name, Expr value) {}
}

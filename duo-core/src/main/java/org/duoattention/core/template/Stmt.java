package org.duoattention.core.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The statements of a template. */
sealed interface Stmt {
    record Text(String text) implements Stmt {}

    record Output(int line, Expr value) implements Stmt {}

    record If(List<Branch> branches, List<Stmt> otherwise) implements Stmt {}

    record Branch(Expr test, List<Stmt> body) {}

    record For(
            int line, Target target, Expr source, @Nullable Expr filter, List<Stmt> body, List<Stmt> otherwise)
            implements Stmt {}

    record Break() implements Stmt {}

    record Continue() implements Stmt {}

    record Set(int line, Target target, Expr value) implements Stmt {}

    /** {@code {% set x | filter %}...{% endset %}} */
    record SetBlock(int line, Target target, List<Expr.FilterUse> filters, List<Stmt> body) implements Stmt {}

    /** {@code {% filter upper %}...{% endfilter %}} */
    record FilterBlock(List<Expr.FilterUse> filters, List<Stmt> body) implements Stmt {}

    record MacroDefinition(MacroBody macro) implements Stmt {}

    /** {@code {% call(x) macro() %}...{% endcall %}} */
    record CallBlock(int line, MacroBody caller, Expr call) implements Stmt {}

    /** Statements with a scope of their own, after the targets have been set in it. */
    record Scoped(int line, List<Target> targets, List<Expr> values, List<Stmt> body) implements Stmt {}

    /**
     * A macro without the scope it closes over.
     *
     * @param usesExtraPositional whether the body names {@code varargs}; only then more arguments may be given
     * @param usesExtraNamed whether the body names {@code kwargs}
     * @param usesCaller whether the body names {@code caller}
     */
    record MacroBody(
            int line,
            String name,
            List<Parameter> parameters,
            List<Stmt> body,
            boolean usesExtraPositional,
            boolean usesExtraNamed,
            boolean usesCaller) {}

    record Parameter(String name, @Nullable Expr defaultValue) {}

    /** What a value is assigned to. */
    sealed interface Target {
        record Variable(String name) implements Target {}

        record Unpacked(List<Target> targets) implements Target {}

        record NamespaceAttribute(String namespace, String attribute) implements Target {}
    }
}

package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Parses a whole template. A statement that this program does not know is an error here, before anything is rendered. */
final class StatementParser {
    private final TokenCursor cursor;
    private final ExpressionParser expressions;
    /** Whether the statement being parsed is inside a loop of the same macro. */
    private boolean inLoop;

    private StatementParser(TokenCursor cursor) {
        this.cursor = cursor;
        this.expressions = new ExpressionParser(cursor);
    }

    static List<Stmt> parse(String template) {
        StatementParser parser = new StatementParser(new TokenCursor(Lexer.tokens(template)));
        List<Stmt> body = parser.body(Set.of());
        if (parser.cursor.current().kind() != Token.Kind.END) {
            throw parser.cursor.fault("unexpected " + parser.cursor.current().describe());
        }
        return body;
    }

    /** Statements up to a block whose name is in {@code ends}; the cursor stands on that name. */
    private List<Stmt> body(Set<String> ends) {
        List<Stmt> body = new ArrayList<>();
        cursor.enter();
        while (cursor.current().kind() != Token.Kind.END) {
            Token token = cursor.next();
            switch (token.kind()) {
                case TEXT -> body.add(new Stmt.Text(token.text()));
                case VARIABLE_BEGIN -> {
                    body.add(new Stmt.Output(token.line(), expressions.tuple(true)));
                    cursor.expect(Token.Kind.VARIABLE_END);
                }
                default -> {
                    if (cursor.current().kind() == Token.Kind.NAME
                            && ends.contains(cursor.current().text())) {
                        cursor.leave();
                        return body;
                    }
                    body.add(statement());
                }
            }
        }
        cursor.leave();
        if (!ends.isEmpty()) {
            throw cursor.fault("expected '"
                    + String.join("' or '", ends.stream().sorted().toList()) + "', found the end of the template");
        }
        return body;
    }

    /** A body whose end is {@code end}, which is consumed. */
    private List<Stmt> bodyTo(String end) {
        List<Stmt> body = body(Set.of(end));
        end(end);
        return body;
    }

    private void end(String name) {
        cursor.expectName(name);
        cursor.expect(Token.Kind.BLOCK_END);
    }

    private void blockEnd() {
        cursor.expect(Token.Kind.BLOCK_END);
    }

    private Stmt statement() {
        int line = cursor.current().line();
        String name = cursor.expectAnyName();
        return switch (name) {
            case "if" -> ifStatement();
            case "for" -> forStatement(line);
            case "set" -> setStatement(line);
            case "macro" -> macro(line);
            case "call" -> callBlock(line);
            case "filter" -> filterBlock();
            case "with" -> with(line);
            case "generation" -> {
                blockEnd();
                yield new Stmt.Scoped(line, List.of(), List.of(), outsideLoop("endgeneration"));
            }
            case "break", "continue" -> {
                if (!inLoop) {
                    throw new LocatedFault("'" + name + "' stands outside a loop", line);
                }
                blockEnd();
                yield name.equals("break") ? new Stmt.Break() : new Stmt.Continue();
            }
            default -> throw new LocatedFault("the statement '" + name + "' is not supported by this program", line);
        };
    }

    private Stmt ifStatement() {
        List<Stmt.Branch> branches = new ArrayList<>();
        List<Stmt> otherwise = List.of();
        while (true) {
            Expr test = expressions.tuple(false);
            blockEnd();
            branches.add(new Stmt.Branch(test, body(Set.of("elif", "else", "endif"))));
            String next = cursor.expectAnyName();
            if (next.equals("else")) {
                blockEnd();
                otherwise = body(Set.of("endif"));
                cursor.expectName("endif");
            }
            if (!next.equals("elif")) {
                blockEnd();
                return new Stmt.If(branches, otherwise);
            }
        }
    }

    private Stmt forStatement(int line) {
        Stmt.Target target = target(false);
        cursor.expectName("in");
        Expr source = expressions.tuple(false);
        @Nullable Expr filter = cursor.skipName("if") ? expressions.expression() : null;
        if (cursor.current().isName("recursive")) {
            throw cursor.fault("a recursive loop is not supported by this program");
        }
        blockEnd();
        boolean outer = inLoop;
        inLoop = true;
        List<Stmt> body = body(Set.of("else", "endfor"));
        inLoop = outer;
        List<Stmt> otherwise = List.of();
        if (cursor.skipName("else")) {
            blockEnd();
            otherwise = body(Set.of("endfor"));
        }
        end("endfor");
        return new Stmt.For(line, target, source, filter, body, otherwise);
    }

    private Stmt setStatement(int line) {
        Stmt.Target target = target(true);
        if (cursor.skipOperator("=")) {
            Expr value = expressions.tuple(true);
            blockEnd();
            return new Stmt.Set(line, target, value);
        }
        List<Expr.FilterUse> filters = filters();
        blockEnd();
        return new Stmt.SetBlock(line, target, filters, outsideLoop("endset"));
    }

    private List<Expr.FilterUse> filters() {
        List<Expr.FilterUse> filters = new ArrayList<>();
        while (cursor.skipOperator("|")) {
            filters.add(expressions.filterUse());
        }
        return filters;
    }

    private Stmt filterBlock() {
        List<Expr.FilterUse> filters = new ArrayList<>(List.of(expressions.filterUse()));
        filters.addAll(filters());
        blockEnd();
        return new Stmt.FilterBlock(filters, outsideLoop("endfilter"));
    }

    private Stmt with(int line) {
        List<Stmt.Target> targets = new ArrayList<>();
        List<Expr> values = new ArrayList<>();
        while (cursor.current().kind() != Token.Kind.BLOCK_END) {
            if (!targets.isEmpty()) {
                cursor.expectOperator(",");
            }
            targets.add(target(false));
            cursor.expectOperator("=");
            values.add(expressions.expression());
        }
        blockEnd();
        return new Stmt.Scoped(line, targets, values, bodyTo("endwith"));
    }

    private Stmt macro(int line) {
        return new Stmt.MacroDefinition(macroBody(line, cursor.expectAnyName(), "endmacro"));
    }

    private Stmt callBlock(int line) {
        List<Stmt.Parameter> parameters = cursor.current().isOperator("(") ? parameters() : List.of();
        Expr call = expressions.expression();
        if (!(call instanceof Expr.Call)) {
            throw new LocatedFault("a call block needs a call", line);
        }
        return new Stmt.CallBlock(line, macroBody(line, "caller", parameters, "endcall"), call);
    }

    private Stmt.MacroBody macroBody(int line, String name, String end) {
        return macroBody(line, name, parameters(), end);
    }

    private Stmt.MacroBody macroBody(int line, String name, List<Stmt.Parameter> parameters, String end) {
        blockEnd();
        cursor.watch();
        List<Stmt> body = outsideLoop(end);
        Set<String> names = cursor.unwatch();
        return new Stmt.MacroBody(
                line,
                name,
                parameters,
                body,
                names.contains("varargs"),
                names.contains("kwargs"),
                names.contains("caller"));
    }

    private List<Stmt.Parameter> parameters() {
        List<Stmt.Parameter> parameters = new ArrayList<>();
        boolean defaults = false;
        cursor.expectOperator("(");
        while (!cursor.skipOperator(")")) {
            if (!parameters.isEmpty()) {
                cursor.expectOperator(",");
            }
            String name = cursor.expectAnyName();
            @Nullable Expr defaultValue = cursor.skipOperator("=") ? expressions.expression() : null;
            if (defaultValue == null && defaults) {
                throw cursor.fault("the parameter '" + name + "' without a default follows one with a default");
            }
            defaults = defaultValue != null;
            parameters.add(new Stmt.Parameter(name, defaultValue));
        }
        return parameters;
    }

    /** A body that is rendered apart, from which a loop around it cannot be left. */
    private List<Stmt> outsideLoop(String end) {
        boolean outer = inLoop;
        inLoop = false;
        List<Stmt> body = bodyTo(end);
        inLoop = outer;
        return body;
    }

    private Stmt.Target target(boolean withNamespace) {
        if (withNamespace && cursor.look().isOperator(".")) {
            String namespace = cursor.expectAnyName();
            cursor.next();
            return new Stmt.Target.NamespaceAttribute(namespace, cursor.expectAnyName());
        }
        List<Stmt.Target> targets = new ArrayList<>();
        boolean isTuple = false;
        do {
            if (!targets.isEmpty() && cursor.current().isOperator(")")) {
                break;
            }
            targets.add(oneTarget());
            if (cursor.current().isOperator(",")) {
                isTuple = true;
            }
        } while (cursor.skipOperator(","));
        return isTuple ? new Stmt.Target.Unpacked(targets) : targets.getFirst();
    }

    private Stmt.Target oneTarget() {
        if (cursor.skipOperator("(")) {
            cursor.enter();
            Stmt.Target target = target(false);
            cursor.leave();
            cursor.expectOperator(")");
            return target;
        }
        String name = cursor.expectAnyName();
        if (Set.of("in", "true", "True", "false", "False", "none", "None").contains(name)) {
            throw cursor.fault("cannot assign to '" + name + "'");
        }
        return new Stmt.Target.Variable(name);
    }
}

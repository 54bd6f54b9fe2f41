package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Parses expressions with Jinja's grammar: its precedence, and its reading of {@code is} and of filters. */
final class ExpressionParser {
    private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");

    private final TokenCursor cursor;

    ExpressionParser(TokenCursor cursor) {
        this.cursor = cursor;
    }

    Expr expression() {
        cursor.enter();
        Expr expression = conditional();
        cursor.leave();
        return expression;
    }

    /** One expression, or several with commas, which make a tuple. */
    Expr tuple(boolean withConditional) {
        return tuple(withConditional, false);
    }

    private Expr tuple(boolean withConditional, boolean inParentheses) {
        List<Expr> items = new ArrayList<>();
        boolean isTuple = false;
        while (!atTupleEnd()) {
            items.add(withConditional ? expression() : withoutConditional());
            if (!cursor.skipOperator(",")) {
                break;
            }
            isTuple = true;
        }
        if (items.isEmpty() && !inParentheses) {
            throw cursor.fault(
                    "expected an expression, found " + cursor.current().describe());
        }
        return isTuple || items.isEmpty() ? new Expr.TupleOf(items) : items.getFirst();
    }

    private boolean atTupleEnd() {
        Token token = cursor.current();
        return token.kind() == Token.Kind.VARIABLE_END
                || token.kind() == Token.Kind.BLOCK_END
                || token.isOperator(")")
                || token.isName("recursive");
    }

    Expr withoutConditional() {
        cursor.enter();
        Expr expression = or();
        cursor.leave();
        return expression;
    }

    private Expr conditional() {
        Expr value = or();
        while (cursor.current().isName("if")) {
            int line = cursor.next().line();
            Expr test = or();
            @Nullable Expr otherwise = null;
            if (cursor.skipName("else")) {
                cursor.enter();
                otherwise = conditional();
                cursor.leave();
            }
            value = new Expr.Conditional(line, test, value, otherwise);
        }
        return value;
    }

    private Expr or() {
        Expr left = and();
        while (cursor.skipName("or")) {
            left = new Expr.Or(left, and());
        }
        return left;
    }

    private Expr and() {
        Expr left = not();
        while (cursor.skipName("and")) {
            left = new Expr.And(left, not());
        }
        return left;
    }

    private Expr not() {
        if (cursor.current().isName("not") && !cursor.look().isName("in")) {
            cursor.next();
            cursor.enter();
            Expr operand = not();
            cursor.leave();
            return new Expr.Not(operand);
        }
        return compare();
    }

    private Expr compare() {
        int line = cursor.current().line();
        Expr first = sum();
        List<Expr.Comparison> rest = new ArrayList<>();
        while (true) {
            Token token = cursor.current();
            if (token.kind() == Token.Kind.OPERATOR && COMPARISONS.contains(token.text())) {
                cursor.next();
                rest.add(new Expr.Comparison(token.text(), sum()));
            } else if (cursor.skipName("in")) {
                rest.add(new Expr.Comparison("in", sum()));
            } else if (token.isName("not") && cursor.look().isName("in")) {
                cursor.next();
                cursor.next();
                rest.add(new Expr.Comparison("not in", sum()));
            } else {
                return rest.isEmpty() ? first : new Expr.Compare(line, first, rest);
            }
        }
    }

    private Expr sum() {
        Expr left = concat();
        while (cursor.current().isOperator("+") || cursor.current().isOperator("-")) {
            Token operator = cursor.next();
            left = new Expr.Binary(operator.line(), operator.text(), left, concat());
        }
        return left;
    }

    private Expr concat() {
        Expr first = product();
        if (!cursor.current().isOperator("~")) {
            return first;
        }
        List<Expr> parts = new ArrayList<>(List.of(first));
        while (cursor.skipOperator("~")) {
            parts.add(product());
        }
        return new Expr.Concat(parts);
    }

    private Expr product() {
        Expr left = power();
        while (cursor.current().kind() == Token.Kind.OPERATOR
                && Set.of("*", "/", "//", "%").contains(cursor.current().text())) {
            Token operator = cursor.next();
            left = new Expr.Binary(operator.line(), operator.text(), left, power());
        }
        return left;
    }

    private Expr power() {
        Expr left = unary(true);
        while (cursor.current().isOperator("**")) {
            Token operator = cursor.next();
            left = new Expr.Binary(operator.line(), operator.text(), left, unary(true));
        }
        return left;
    }

    private Expr unary(boolean withFilters) {
        Token token = cursor.current();
        Expr value;
        if (token.isOperator("-") || token.isOperator("+")) {
            cursor.next();
            cursor.enter();
            value = new Expr.Unary(token.line(), token.text().charAt(0), unary(false));
            cursor.leave();
        } else {
            value = primary();
        }
        value = postfix(value);
        return withFilters ? filtersAndTests(value) : value;
    }

    Expr primary() {
        Token token = cursor.current();
        switch (token.kind()) {
            case NAME -> {
                cursor.next();
                return switch (token.text()) {
                    case "true", "True" -> new Expr.Literal(true);
                    case "false", "False" -> new Expr.Literal(false);
                    case "none", "None" -> new Expr.Literal(None.NONE);
                    default -> {
                        cursor.noteName(token.text());
                        yield new Expr.Name(token.line(), token.text());
                    }
                };
            }
            case STRING -> {
                StringBuilder text = new StringBuilder();
                while (cursor.current().kind() == Token.Kind.STRING) {
                    text.append(cursor.next().text());
                }
                return new Expr.Literal(text.toString());
            }
            case INTEGER, FLOAT -> {
                cursor.next();
                return new Expr.Literal(number(token));
            }
            default -> {
                return bracketed();
            }
        }
    }

    private Expr bracketed() {
        cursor.enter();
        Expr value;
        if (cursor.skipOperator("(")) {
            value = tuple(true, true);
            cursor.expectOperator(")");
        } else if (cursor.skipOperator("[")) {
            value = list();
        } else if (cursor.current().isOperator("{")) {
            value = dict();
        } else {
            throw cursor.fault(
                    "expected an expression, found " + cursor.current().describe());
        }
        cursor.leave();
        return value;
    }

    private Expr list() {
        List<Expr> items = new ArrayList<>();
        while (!cursor.skipOperator("]")) {
            if (!items.isEmpty()) {
                cursor.expectOperator(",");
                if (cursor.skipOperator("]")) {
                    break;
                }
            }
            items.add(expression());
        }
        return new Expr.ListOf(items);
    }

    private Expr dict() {
        int line = cursor.next().line();
        List<Expr.Entry> entries = new ArrayList<>();
        while (!cursor.skipOperator("}")) {
            if (!entries.isEmpty()) {
                cursor.expectOperator(",");
                if (cursor.skipOperator("}")) {
                    break;
                }
            }
            Expr key = expression();
            cursor.expectOperator(":");
            entries.add(new Expr.Entry(key, expression()));
        }
        return new Expr.DictOf(line, entries);
    }

    private Object number(Token token) {
        String digits = token.text().replace("_", "");
        try {
            if (token.kind() == Token.Kind.FLOAT) {
                return Double.parseDouble(digits);
            }
            if (digits.length() > 1 && Character.isLetter(digits.charAt(1))) {
                int radix = switch (Character.toLowerCase(digits.charAt(1))) {
                    case 'x' -> 16;
                    case 'o' -> 8;
                    default -> 2;
                };
                return Long.parseLong(digits.substring(2), radix);
            }
            return Long.parseLong(digits);
        } catch (NumberFormatException e) {
            throw cursor.fault("the number " + token.text() + " is too large for this program");
        }
    }

    Expr postfix(Expr start) {
        Expr value = start;
        while (true) {
            Token token = cursor.current();
            if (cursor.skipOperator(".")) {
                value = dotted(value, token.line());
            } else if (cursor.skipOperator("[")) {
                value = subscript(value, token.line());
            } else if (token.isOperator("(")) {
                value = new Expr.Call(token.line(), value, callArguments());
            } else {
                return value;
            }
        }
    }

    private Expr dotted(Expr target, int line) {
        Token name = cursor.next();
        return switch (name.kind()) {
            case NAME -> new Expr.Attribute(line, target, name.text());
            case INTEGER -> new Expr.Item(line, target, new Expr.Literal(number(name)));
            default -> throw cursor.fault("expected a name or number after '.', found " + name.describe());
        };
    }

    private Expr subscript(Expr target, int line) {
        List<Expr> parts = new ArrayList<>();
        boolean slice = false;
        boolean open = true;
        while (!cursor.current().isOperator("]")) {
            if (cursor.current().isOperator(",")) {
                throw cursor.fault("indexing with several values is not supported by this program");
            }
            if (cursor.skipOperator(":")) {
                slice = true;
                if (open) {
                    parts.add(new Expr.Literal(None.NONE));
                }
                open = true;
            } else if (open) {
                parts.add(expression());
                open = false;
            } else {
                throw cursor.fault("expected ']', found " + cursor.current().describe());
            }
        }
        cursor.expectOperator("]");
        if (!slice && parts.size() == 1) {
            return new Expr.Item(line, target, parts.getFirst());
        }
        if (!slice || parts.size() > 3) {
            throw cursor.fault("expected an index or a slice in '[]'");
        }
        while (parts.size() < 3) {
            parts.add(new Expr.Literal(None.NONE));
        }
        return new Expr.Slice(line, target, parts.get(0), parts.get(1), parts.get(2));
    }

    private Expr filtersAndTests(Expr start) {
        Expr value = start;
        while (true) {
            Token token = cursor.current();
            if (cursor.skipOperator("|")) {
                value = new Expr.Filtered(value, filterUse());
            } else if (token.isName("is")) {
                value = test(value);
            } else if (token.isOperator("(")) {
                value = new Expr.Call(token.line(), value, callArguments());
            } else {
                return value;
            }
        }
    }

    Expr.FilterUse filterUse() {
        int line = cursor.current().line();
        String name = dottedName();
        return new Expr.FilterUse(
                line, name, cursor.current().isOperator("(") ? callArguments() : Expr.CallArguments.NONE);
    }

    private String dottedName() {
        StringBuilder name = new StringBuilder(cursor.expectAnyName());
        while (cursor.skipOperator(".")) {
            name.append('.').append(cursor.expectAnyName());
        }
        return name.toString();
    }

    private Expr test(Expr target) {
        int line = cursor.next().line();
        boolean negated = cursor.skipName("not");
        String name = dottedName();
        Expr.CallArguments arguments = Expr.CallArguments.NONE;
        if (cursor.current().isOperator("(")) {
            arguments = callArguments();
        } else if (startsTestArgument(cursor.current())) {
            if (cursor.current().isName("is")) {
                throw cursor.fault("tests cannot be chained with 'is'");
            }
            arguments = new Expr.CallArguments(List.of(postfix(primary())), List.of(), null, null);
        }
        return new Expr.Tested(line, target, name, arguments, negated);
    }

    private static boolean startsTestArgument(Token token) {
        return switch (token.kind()) {
            case NAME -> !token.isName("else") && !token.isName("or") && !token.isName("and");
            case STRING, INTEGER, FLOAT -> true;
            case OPERATOR -> token.isOperator("[") || token.isOperator("{");
            default -> false;
        };
    }

    Expr.CallArguments callArguments() {
        cursor.expectOperator("(");
        List<Expr> positional = new ArrayList<>();
        List<Expr.Named> named = new ArrayList<>();
        @Nullable Expr unpackedList = null;
        @Nullable Expr unpackedMap = null;
        boolean first = true;
        while (!cursor.skipOperator(")")) {
            if (!first) {
                cursor.expectOperator(",");
                if (cursor.skipOperator(")")) {
                    break;
                }
            }
            first = false;
            if (unpackedList == null && unpackedMap == null && cursor.skipOperator("*")) {
                unpackedList = expression();
            } else if (unpackedMap == null && cursor.skipOperator("**")) {
                unpackedMap = expression();
            } else if (unpackedMap == null
                    && cursor.current().kind() == Token.Kind.NAME
                    && cursor.look().isOperator("=")) {
                String name = cursor.expectAnyName();
                cursor.next();
                named.add(new Expr.Named(name, expression()));
            } else if (named.isEmpty() && unpackedList == null && unpackedMap == null) {
                positional.add(expression());
            } else {
                throw cursor.fault("an argument is in the wrong place, found "
                        + cursor.current().describe());
            }
        }
        return new Expr.CallArguments(positional, named, unpackedList, unpackedMap);
    }
}

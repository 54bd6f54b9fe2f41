package org.duoattention.core.template;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** How Python prints values, and its notion of white space and lines. */
final class PythonText {
    private PythonText() {}

    /** {@code str(value)} */
    static String str(Object value) {
        return switch (value) {
            case String s -> s;
            case Marked marked -> marked.text();
            case Undefined undefined -> "";
            default -> repr(value);
        };
    }

    static String repr(Object value) {
        StringBuilder out = new StringBuilder();
        new Printer(out, new Budget(Long.MAX_VALUE, Long.MAX_VALUE)).print(value);
        return out.toString();
    }

    /** {@code str(value)} at the cost of a budget; values that refer to shared parts can be exponentially long. */
    static String str(Object value, Budget budget) {
        if (value instanceof String s) {
            budget.text(s.length());
            return s;
        }
        if (value instanceof Undefined) {
            return "";
        }
        if (value instanceof Marked marked) {
            return str(marked.text(), budget);
        }
        StringBuilder out = new StringBuilder();
        new Printer(out, budget).print(value);
        return out.toString();
    }

    private record Printer(StringBuilder out, Budget budget) {
        void print(Object value) {
            budget.enter();
            budget.step();
            switch (value) {
                case None none -> out.append("None");
                case Undefined undefined -> out.append("Undefined");
                case Boolean b -> out.append(b ? "True" : "False");
                case Long l -> out.append(l);
                case Double d -> out.append(number(d));
                case String s -> {
                    budget.text(s.length());
                    quote(s, out);
                }
                case List<?> list -> items("[", list, "]");
                case Tuple tuple -> items("(", tuple.items(), tuple.items().size() == 1 ? ",)" : ")");
                case View view -> items(view.kind() + "([", view.items(), "])");
                case Range range ->
                    out.append("range(")
                            .append(range.start())
                            .append(", ")
                            .append(range.stop())
                            .append(range.step() == 1 ? "" : ", " + range.step())
                            .append(')');
                case Map<?, ?> map -> entries(map);
                default -> throw TemplateFault.unsupported("printing a value of type " + Values.typeName(value));
            }
            budget.leave();
        }

        private void items(String open, List<?> items, String close) {
            out.append(open);
            for (int i = 0; i < items.size(); i++) {
                out.append(i == 0 ? "" : ", ");
                print(items.get(i));
            }
            out.append(close);
        }

        private void entries(Map<?, ?> map) {
            out.append('{');
            boolean first = true;
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                out.append(first ? "" : ", ");
                first = false;
                print(entry.getKey());
                out.append(": ");
                print(entry.getValue());
            }
            out.append('}');
        }
    }

    /** The shortest digits that read back as the same double, with an exponent below 1e-4 and from 1e16 on. */
    static String number(double value) {
        if (Double.isNaN(value)) {
            return "nan";
        }
        if (Double.isInfinite(value)) {
            return value > 0 ? "inf" : "-inf";
        }
        if (value == 0) {
            return 1 / value < 0 ? "-0.0" : "0.0";
        }
        BigDecimal shortest = new BigDecimal(Double.toString(value)).stripTrailingZeros();
        int exponent = shortest.precision() - shortest.scale() - 1;
        if (exponent >= -4 && exponent < 16) {
            String plain = shortest.toPlainString();
            return plain.contains(".") ? plain : plain + ".0";
        }
        String digits = shortest.unscaledValue().abs().toString();
        return (value < 0 ? "-" : "")
                + digits.charAt(0)
                + (digits.length() > 1 ? "." + digits.substring(1) : "")
                + String.format("e%s%02d", exponent < 0 ? "-" : "+", Math.abs(exponent));
    }

    private static void quote(String s, StringBuilder out) {
        char quote = s.indexOf('\'') >= 0 && s.indexOf('"') < 0 ? '"' : '\'';
        out.append(quote);
        s.codePoints().forEach(c -> {
            switch (c) {
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                default -> {
                    if (c == quote) {
                        out.append('\\').append(quote);
                    } else if (isPrintable(c)) {
                        out.appendCodePoint(c);
                    } else {
                        out.append(
                                c < 0x100
                                        ? String.format("\\x%02x", c)
                                        : c < 0x10000 ? String.format("\\u%04x", c) : String.format("\\U%08x", c));
                    }
                }
            }
        });
        out.append(quote);
    }

    private static boolean isPrintable(int c) {
        if (c == ' ') {
            return true;
        }
        return switch (Character.getType(c)) {
            case Character.CONTROL,
                    Character.FORMAT,
                    Character.SURROGATE,
                    Character.PRIVATE_USE,
                    Character.UNASSIGNED,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR,
                    Character.SPACE_SEPARATOR -> false;
            default -> true;
        };
    }

    static boolean isSpace(int c) {
        return c >= 9 && c <= 13
                || c >= 0x1C && c <= 0x20
                || c == 0x85
                || c == 0xA0
                || c > 0xFF
                        && switch (Character.getType(c)) {
                            case Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR ->
                                true;
                            default -> false;
                        };
    }

    /** Whether the text is white space throughout and not empty. */
    static boolean isSpace(String text) {
        return !text.isEmpty() && text.codePoints().allMatch(PythonText::isSpace);
    }

    static String rstrip(String text) {
        int end = text.length();
        while (end > 0 && isSpace(text.charAt(end - 1))) {
            end--;
        }
        return text.substring(0, end);
    }

    static String lstrip(String text) {
        int start = 0;
        while (start < text.length() && isSpace(text.charAt(start))) {
            start++;
        }
        return text.substring(start);
    }

    /** {@code str.splitlines()}, which knows more line ends than most. */
    static List<String> lines(String text, boolean keepEnds) {
        List<String> lines = new ArrayList<>();
        int start = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c >= '\n' && c <= '\r' || c >= 0x1C && c <= 0x1E || c == 0x85 || c == 0x2028 || c == 0x2029) {
                int end = i;
                if (c == '\r' && i + 1 < text.length() && text.charAt(i + 1) == '\n') {
                    i++;
                }
                lines.add(text.substring(start, keepEnds ? i + 1 : end));
                start = i + 1;
            }
        }
        if (start < text.length()) {
            lines.add(text.substring(start));
        }
        return lines;
    }
}

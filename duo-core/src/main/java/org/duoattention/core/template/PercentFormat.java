package org.duoattention.core.template;

import java.util.List;

/** Python's {@code format % values} with the conversions {@code %s}, {@code %d}, {@code %r} and {@code %%}. */
final class PercentFormat {
    private final Budget budget;

    PercentFormat(Budget budget) {
        this.budget = budget;
    }

    String format(String format, Object values) {
        List<Object> arguments = values instanceof Tuple tuple ? tuple.items() : List.of(values);
        StringBuilder out = new StringBuilder();
        int used = 0;
        int at = 0;
        while (at < format.length()) {
            char c = format.charAt(at);
            if (c != '%') {
                out.append(c);
                at++;
                continue;
            }
            char conversion = at + 1 < format.length() ? format.charAt(at + 1) : ' ';
            if (conversion == '%') {
                out.append('%');
            } else if (used == arguments.size()) {
                throw new TemplateFault("a format string has more '%' than values");
            } else {
                out.append(convert(conversion, arguments.get(used++)));
            }
            at += 2;
        }
        if (used < arguments.size() && !(values instanceof java.util.Map) && !(values instanceof List)) {
            throw new TemplateFault("a format string has fewer '%' than values");
        }
        budget.text(out.length());
        return out.toString();
    }

    private String convert(char conversion, Object value) {
        if (conversion == 's') {
            return PythonText.str(value, budget);
        }
        if (conversion == 'r') {
            return PythonText.repr(value);
        }
        if (conversion == 'd' && Values.isNumber(value)) {
            return Long.toString((long) Values.asDouble(value));
        }
        throw TemplateFault.unsupported(
                "the conversion '%" + conversion + "' of a " + Values.typeName(value) + " in a format string");
    }
}

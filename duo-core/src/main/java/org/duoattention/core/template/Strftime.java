package org.duoattention.core.template;

import java.time.LocalDateTime;
import java.time.format.TextStyle;
import java.time.temporal.ChronoField;
import java.time.temporal.IsoFields;
import java.util.Locale;

/** Python's {@code strftime} in the C locale. */
final class Strftime {
    private Strftime() {}

    static String format(LocalDateTime time, String format) {
        StringBuilder out = new StringBuilder();
        int at = 0;
        while (at < format.length()) {
            char c = format.charAt(at++);
            if (c != '%' || at == format.length()) {
                out.append(c);
                continue;
            }
            boolean unpadded = format.charAt(at) == '-' && at + 1 < format.length();
            if (unpadded) {
                at++;
            }
            String value = directive(time, format.charAt(at++));
            out.append(unpadded ? value.replaceFirst("^[0 ]+(?=\\d)", "") : value);
        }
        return out.toString();
    }

    private static String directive(LocalDateTime t, char directive) {
        return switch (directive) {
            case 'Y' -> Integer.toString(t.getYear());
            case 'C' -> padded(t.getYear() / 100, 2);
            case 'y' -> padded(t.getYear() % 100, 2);
            case 'm' -> padded(t.getMonthValue(), 2);
            case 'd' -> padded(t.getDayOfMonth(), 2);
            case 'e' -> String.format("%2d", t.getDayOfMonth());
            case 'j' -> padded(t.getDayOfYear(), 3);
            case 'H' -> padded(t.getHour(), 2);
            case 'I' -> padded(t.get(ChronoField.CLOCK_HOUR_OF_AMPM), 2);
            case 'M' -> padded(t.getMinute(), 2);
            case 'S' -> padded(t.getSecond(), 2);
            case 'f' -> padded(t.getNano() / 1000, 6);
            case 'p' -> t.getHour() < 12 ? "AM" : "PM";
            case 'B' -> t.getMonth().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
            case 'b', 'h' ->
                t.getMonth().getDisplayName(TextStyle.FULL, Locale.ENGLISH).substring(0, 3);
            case 'A' -> t.getDayOfWeek().getDisplayName(TextStyle.FULL, Locale.ENGLISH);
            case 'a' ->
                t.getDayOfWeek().getDisplayName(TextStyle.FULL, Locale.ENGLISH).substring(0, 3);
            case 'u' -> Integer.toString(t.getDayOfWeek().getValue());
            case 'w' -> Integer.toString(t.getDayOfWeek().getValue() % 7);
            case 'G' -> Integer.toString(t.get(IsoFields.WEEK_BASED_YEAR));
            case 'V' -> padded(t.get(IsoFields.WEEK_OF_WEEK_BASED_YEAR), 2);
            case 'U' -> padded((t.getDayOfYear() + 6 - t.getDayOfWeek().getValue() % 7) / 7, 2);
            case 'W' -> padded((t.getDayOfYear() + 6 - (t.getDayOfWeek().getValue() + 6) % 7) / 7, 2);
            case 'D', 'x' -> format(t, "%m/%d/%y");
            case 'F' -> format(t, "%Y-%m-%d");
            case 'T', 'X' -> format(t, "%H:%M:%S");
            case 'R' -> format(t, "%H:%M");
            case 'r' -> format(t, "%I:%M:%S %p");
            case 'c' -> format(t, "%a %b %e %H:%M:%S %Y");
            case 'z', 'Z' -> "";
            case 'n' -> "\n";
            case 't' -> "\t";
            case '%' -> "%";
            default -> throw TemplateFault.unsupported("the date format '%" + directive + "'");
        };
    }

    private static String padded(int value, int width) {
        return String.format("%0" + width + "d", value);
    }
}

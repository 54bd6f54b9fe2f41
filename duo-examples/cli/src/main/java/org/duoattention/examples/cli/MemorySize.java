package org.duoattention.examples.cli;

import java.math.BigDecimal;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a number of bytes: {@code 24GiB}, {@code 1.5 GB}, {@code 512MiB}, or plain bytes. */
final class MemorySize implements ITypeConverter<Long> {
    private static final Pattern FORM = Pattern.compile("(\\d{1,18}(?:\\.\\d{1,9})?)\\s*(?:([KMGT])(I?))?B?");
    private static final String UNITS = "KMGT";

    @Override
    public Long convert(String value) {
        Matcher form = FORM.matcher(value.strip().toUpperCase(Locale.ROOT));
        if (!form.matches()) {
            throw problem(value);
        }
        BigDecimal bytes = new BigDecimal(form.group(1));
        if (form.group(2) != null) {
            // As in the SI: GiB is a power of 1024, GB of 1000.
            BigDecimal unit = BigDecimal.valueOf(form.group(3).isEmpty() ? 1000 : 1024);
            bytes = bytes.multiply(unit.pow(UNITS.indexOf(form.group(2)) + 1));
        }
        if (bytes.signum() <= 0 || bytes.compareTo(BigDecimal.valueOf(1L << 60)) > 0) {
            throw problem(value);
        }
        return bytes.longValue();
    }

    private static TypeConversionException problem(String value) {
        return new TypeConversionException(
                "'" + value + "' is not a size; expected a positive number with a unit, for example 24GiB or 512MiB");
    }
}

package org.duoattention.core.head;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.TreeSet;

/** The options of a mask source, with errors that name the source and the option. */
final class SourceOptions {
    private final String source;
    private final Map<String, String> options;

    /** Refuses options that the source does not have. */
    SourceOptions(String source, Map<String, String> options, Set<String> known) {
        this.source = source;
        this.options = options;
        for (String name : new TreeSet<>(options.keySet())) {
            if (!known.contains(name)) {
                throw new IllegalArgumentException("head source '" + source + "' has no option '" + name + "'; it has "
                        + (known.isEmpty() ? "none" : String.join(", ", new TreeSet<>(known))));
            }
        }
    }

    /** A path that must be given. */
    Path path(String name, String meaning) {
        String value = options.get(name);
        if (value == null || value.isBlank()) {
            throw new IllegalArgumentException(
                    "head source '" + source + "' needs the option '" + name + "': " + meaning);
        }
        try {
            return Path.of(value);
        } catch (InvalidPathException e) {
            throw new IllegalArgumentException(
                    "option '" + name + "' of head source '" + source + "' is not a path: " + e.getReason(), e);
        }
    }

    /** A number from 0 to 1, if given. */
    OptionalDouble fraction(String name) {
        Optional<String> value = Optional.ofNullable(options.get(name));
        if (value.isEmpty()) {
            return OptionalDouble.empty();
        }
        double number;
        try {
            number = Double.parseDouble(value.get());
        } catch (NumberFormatException e) {
            number = Double.NaN;
        }
        if (!(number >= 0 && number <= 1)) {
            throw new IllegalArgumentException("option '" + name + "' of head source '" + source + "' is '"
                    + value.get() + "', expected a number from 0 to 1");
        }
        return OptionalDouble.of(number);
    }
}

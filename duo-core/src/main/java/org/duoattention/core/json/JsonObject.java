package org.duoattention.core.json;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A JSON object with typed access. A key that is absent and one that is {@code null} are both "not set", as in Hugging
 * Face files. A value of the wrong kind or out of range is a {@link DuoException} that names file, key, value and what
 * was expected.
 */
public final class JsonObject {
    private final String file;
    private final String prefix;
    private final ObjectNode node;

    JsonObject(String file, String prefix, ObjectNode node) {
        this.file = file;
        this.prefix = prefix;
        this.node = node;
    }

    /** The file that this was read from, for messages. */
    public String file() {
        return file;
    }

    /** The keys, those set to {@code null} included, sorted. */
    public Set<String> keys() {
        return new TreeSet<>(node.propertyNames());
    }

    /** Whether the key occurs, even with {@code null}. */
    public boolean has(String key) {
        return node.has(key);
    }

    /** Whether the key occurs with a value other than {@code null}. */
    public boolean isSet(String key) {
        return node.hasNonNull(key);
    }

    /** Whether both hold equal content. */
    public boolean sameAs(JsonObject other) {
        return node.equals(other.node);
    }

    /** An integer between {@code min} and {@code max}, if set. */
    public OptionalLong integer(String key, long min, long max) {
        return isSet(key) ? OptionalLong.of(toInteger(key, node.get(key), min, max)) : OptionalLong.empty();
    }

    /** An integer between {@code min} and {@code max} that must be set. */
    public int requiredInteger(String key, int min, int max) {
        return Math.toIntExact(integer(key, min, max)
                .orElseThrow(() -> new DuoException(file + ": " + prefix + key + " is missing; expected "
                        + integerRange(min, max) + ", check that the file is complete")));
    }

    /** A finite number between {@code min} and {@code max}, if set. */
    public OptionalDouble number(String key, double min, double max) {
        if (!isSet(key)) {
            return OptionalDouble.empty();
        }
        JsonNode value = node.get(key);
        // Not NaN and not infinite: both comparisons fail for NaN.
        if (value.isNumber()) {
            double number = value.doubleValue();
            if (number >= min && number <= max) {
                return OptionalDouble.of(number);
            }
        }
        throw malformed(key, "a number from " + min + " to " + max);
    }

    /** A boolean, or the default when not set. */
    public boolean bool(String key, boolean byDefault) {
        if (!isSet(key)) {
            return byDefault;
        }
        if (!node.get(key).isBoolean()) {
            throw malformed(key, "true or false");
        }
        return node.get(key).booleanValue();
    }

    /** A string, if set. */
    public Optional<String> string(String key) {
        if (!isSet(key)) {
            return Optional.empty();
        }
        if (!node.get(key).isString()) {
            throw malformed(key, "a string");
        }
        return Optional.of(node.get(key).stringValue());
    }

    /** An object, if set. */
    public Optional<JsonObject> object(String key) {
        if (!isSet(key)) {
            return Optional.empty();
        }
        if (!(node.get(key) instanceof ObjectNode object)) {
            throw malformed(key, "an object");
        }
        return Optional.of(new JsonObject(file, prefix + Quoted.of(key) + ".", object));
    }

    /** A modifiable copy as plain values, in the order of the file. */
    public Map<String, @Nullable Object> toMap() {
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        for (String key : node.propertyNames()) {
            values.put(key, JsonFile.plain(node.get(key)));
        }
        return values;
    }

    /** The values that are objects, by key, in the order of the file. */
    public Map<String, JsonObject> objects() {
        Map<String, JsonObject> objects = new LinkedHashMap<>();
        for (String key : node.propertyNames()) {
            if (node.get(key).isObject()) {
                object(key).ifPresent(value -> objects.put(key, value));
            }
        }
        return objects;
    }

    /** A list of strings, if set. */
    public Optional<List<String>> strings(String key) {
        if (!isSet(key)) {
            return Optional.empty();
        }
        List<String> strings = new ArrayList<>();
        JsonNode list = node.get(key);
        for (JsonNode element : list) {
            if (!list.isArray() || !element.isString()) {
                throw malformed(key, "a list of strings");
            }
            strings.add(element.stringValue());
        }
        if (!list.isArray()) {
            throw malformed(key, "a list of strings");
        }
        return Optional.of(List.copyOf(strings));
    }

    /** One integer or a list of them, each between {@code min} and {@code max}; empty when not set. */
    public List<Integer> integers(String key, int min, int max) {
        if (!isSet(key)) {
            return List.of();
        }
        JsonNode value = node.get(key);
        if (!value.isArray()) {
            return List.of(Math.toIntExact(toInteger(key, value, min, max)));
        }
        List<Integer> integers = new ArrayList<>();
        for (JsonNode element : value) {
            integers.add(Math.toIntExact(toInteger(key, element, min, max)));
        }
        return List.copyOf(integers);
    }

    private long toInteger(String key, JsonNode value, long min, long max) {
        if (value.isIntegralNumber() && value.canConvertToLong()) {
            long integer = value.longValue();
            if (integer >= min && integer <= max) {
                return integer;
            }
        }
        throw malformed(key, integerRange(min, max));
    }

    private static String integerRange(long min, long max) {
        return "an integer from " + min + " to " + max;
    }

    private DuoException malformed(String key, String expected) {
        return problem(key, expected + "; correct the file or download it again");
    }

    /** An error about a value: file, key, the value (shortened) and what was expected. */
    public DuoException problem(String key, String expected) {
        return new DuoException(file + ": " + prefix + Quoted.of(key) + " is "
                + Quoted.of(String.valueOf(node.get(key))) + ", expected " + expected);
    }
}

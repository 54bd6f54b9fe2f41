package org.duoattention.core;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/** Damages files: blindly, byte by byte, and knowingly, number by number and key by key. Reproducible by its seed. */
final class Mutator {
    private static final Pattern NUMBER = Pattern.compile("-?\\d+(\\.\\d+)?([eE][+-]?\\d+)?");
    private static final Pattern STRING = Pattern.compile("\"[^\"]*\"");
    private static final Pattern FIELD = Pattern.compile("\"[^\"]*\"\\s*:\\s*(\"[^\"]*\"|\\[[^\\[\\]{}]*]|[\\w.+-]+)");

    private static final List<String> NUMBERS = List.of(
            "0",
            "-0",
            "-1",
            "1",
            "2",
            "3",
            "4",
            "7",
            "16",
            "65537",
            "2147483647",
            "2147483648",
            "4294967296",
            "4611686018427387904",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "18446744073709551615",
            "9".repeat(60),
            "9".repeat(500),
            "1.5",
            "3.0",
            "0.0",
            "1e2",
            "1e-9",
            "1e308",
            "1e309",
            "1e-400",
            "1e999999999",
            "-1e999999999",
            "00",
            "NaN",
            "-Infinity",
            "0x10");

    private static final List<String> VALUES = List.of(
            "null",
            "true",
            "\"\"",
            "\"x\"",
            "\"\\u0000\\n\\ud800\"",
            "\"../../x.safetensors\"",
            "[]",
            "{}",
            "[null]",
            "[[1],[2]]",
            "{\"rope_type\":\"yarn\",\"factor\":1e-3}",
            "{\"a\":{\"a\":{\"a\":1}}}",
            "[".repeat(500),
            "{\"a\":".repeat(300),
            "\"" + "x".repeat(5_000) + "\"");

    private final Random random;

    Mutator(long seed) {
        this.random = new Random(seed);
    }

    /** A number below {@code bound}. */
    int below(int bound) {
        return random.nextInt(bound);
    }

    /** One to four small damages to bytes. */
    byte[] damage(byte[] file) {
        byte[] bytes = file;
        for (int i = random.nextInt(4); i >= 0; i--) {
            bytes = damageOnce(bytes);
        }
        return bytes;
    }

    private byte[] damageOnce(byte[] file) {
        if (file.length == 0) {
            return new byte[] {(byte) random.nextInt(256)};
        }
        byte[] bytes = file.clone();
        int at = random.nextInt(bytes.length);
        switch (random.nextInt(6)) {
            case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
            case 1 -> bytes[at] = (byte) random.nextInt(256);
            case 2 -> {
                return Arrays.copyOf(bytes, at);
            }
            case 3 -> {
                return Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(20));
            }
            case 4 -> {
                // Removes a slice.
                int end = Math.min(bytes.length, at + 1 + random.nextInt(20));
                byte[] rest = Arrays.copyOf(bytes, bytes.length - (end - at));
                System.arraycopy(bytes, end, rest, at, bytes.length - end);
                return rest;
            }
            default -> {
                // Repeats a slice over what follows.
                int length = Math.min(1 + random.nextInt(20), (bytes.length - at) / 2);
                System.arraycopy(file, at, bytes, at + length, length);
            }
        }
        return bytes;
    }

    /** One to three damages to JSON or table text that keep most of its structure. */
    String rewrite(String text) {
        String result = text;
        for (int i = random.nextInt(3); i >= 0; i--) {
            result = switch (random.nextInt(7)) {
                case 0, 1 -> replace(result, NUMBER, pick(NUMBERS));
                case 2 -> replaceValue(result, pick(VALUES));
                case 3 -> replace(result, STRING, anyOf(result, STRING));
                case 4 -> replace(result, FIELD, anyOf(result, FIELD));
                case 5 -> replace(result, NUMBER, anyOf(result, NUMBER));
                default -> repeatField(result);
            };
        }
        return random.nextInt(4) == 0 ? new String(damage(bytes(result)), StandardCharsets.UTF_8) : result;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private String replace(String text, Pattern pattern, String by) {
        List<MatchResult> all = pattern.matcher(text).results().toList();
        return all.isEmpty() ? text : splice(text, pick(all), by);
    }

    private String replaceValue(String text, String by) {
        List<MatchResult> all = FIELD.matcher(text).results().toList();
        if (all.isEmpty()) {
            return text;
        }
        MatchResult field = pick(all);
        return text.substring(0, field.start(1)) + by + text.substring(field.end(1));
    }

    private String repeatField(String text) {
        List<MatchResult> all = new ArrayList<>(FIELD.matcher(text).results().toList());
        if (all.isEmpty()) {
            return text;
        }
        MatchResult field = pick(all);
        return splice(text, field, field.group() + "," + field.group());
    }

    private static String splice(String text, MatchResult at, String by) {
        return text.substring(0, at.start()) + by + text.substring(at.end());
    }

    private String anyOf(String text, Pattern pattern) {
        List<MatchResult> all = pattern.matcher(text).results().toList();
        return all.isEmpty() ? "" : pick(all).group();
    }

    private <T> T pick(List<T> list) {
        return list.get(random.nextInt(list.size()));
    }
}

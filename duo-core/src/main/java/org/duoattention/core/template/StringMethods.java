package org.duoattention.core.template;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/** The methods of Python's strings. */
final class StringMethods {
    private static final Set<String> SUPPORTED = Set.of(
            "strip",
            "lstrip",
            "rstrip",
            "split",
            "rsplit",
            "splitlines",
            "startswith",
            "endswith",
            "upper",
            "lower",
            "title",
            "capitalize",
            "swapcase",
            "casefold",
            "replace",
            "join",
            "find",
            "rfind",
            "index",
            "rindex",
            "count",
            "removeprefix",
            "removesuffix",
            "partition",
            "rpartition",
            "zfill",
            "isdigit",
            "isdecimal",
            "isnumeric",
            "isalpha",
            "isalnum",
            "isspace",
            "isupper",
            "islower");
    private static final Set<String> OTHERS = Set.of(
            "center",
            "encode",
            "expandtabs",
            "format",
            "format_map",
            "isascii",
            "isidentifier",
            "isprintable",
            "istitle",
            "ljust",
            "maketrans",
            "rjust",
            "translate");

    private final Budget budget;

    StringMethods(Budget budget) {
        this.budget = budget;
    }

    /** Whether strings have the method; one that this program lacks is a fault rather than undefined. */
    static boolean has(String name) {
        if (OTHERS.contains(name)) {
            throw TemplateFault.unsupported("the string method '" + name + "'");
        }
        return SUPPORTED.contains(name);
    }

    Object call(String s, String name, Arguments arguments) {
        budget.text(s.length());
        return switch (name) {
            case "strip", "lstrip", "rstrip" -> {
                Object chars = arguments.bind(name, "chars").get("chars", None.NONE);
                yield strip(s, chars, !name.equals("rstrip"), !name.equals("lstrip"));
            }
            case "split", "rsplit" -> {
                Arguments.Bound bound = arguments.bind(name, "sep", "maxsplit");
                long limit = bound.integer("maxsplit", -1L);
                yield name.equals("split")
                        ? split(s, bound.get("sep", None.NONE), limit)
                        : splitFromRight(s, bound.get("sep", None.NONE), limit);
            }
            case "splitlines" -> {
                boolean keep = arguments.bind(name, "keepends").isTrue("keepends", false);
                yield new ArrayList<Object>(PythonText.lines(s, keep));
            }
            case "startswith", "endswith" -> startsOrEnds(s, name, arguments);
            case "replace" -> {
                Arguments.Bound bound = arguments.bind(name, "old", "new", "count");
                yield replace(s, bound.text("old"), bound.text("new"), bound.integer("count", -1L));
            }
            case "join" -> join(s, Values.items(arguments.bind(name, "iterable").require("iterable")));
            case "find", "rfind", "index", "rindex" -> find(s, name, arguments);
            case "count" -> count(s, arguments.bind(name, "sub").text("sub"));
            case "removeprefix" -> {
                String prefix = arguments.bind(name, "prefix").text("prefix");
                yield s.startsWith(prefix) ? s.substring(prefix.length()) : s;
            }
            case "removesuffix" -> {
                String suffix = arguments.bind(name, "suffix").text("suffix");
                yield s.endsWith(suffix) ? s.substring(0, s.length() - suffix.length()) : s;
            }
            case "partition", "rpartition" -> {
                String sep = nonEmpty(arguments.bind(name, "sep").text("sep"));
                boolean fromRight = name.equals("rpartition");
                int at = fromRight ? s.lastIndexOf(sep) : s.indexOf(sep);
                yield at >= 0
                        ? Tuple.of(s.substring(0, at), sep, s.substring(at + sep.length()))
                        : fromRight ? Tuple.of("", "", s) : Tuple.of(s, "", "");
            }
            case "zfill" -> zfill(s, arguments.bind(name, "width").integer("width", 0L));
            default -> {
                arguments.bind(name);
                yield changedOrTested(s, name);
            }
        };
    }

    private static Object changedOrTested(String s, String name) {
        return switch (name) {
            case "upper" -> s.toUpperCase(Locale.ROOT);
            case "lower" -> s.toLowerCase(Locale.ROOT);
            case "casefold" -> s.toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT);
            case "capitalize" -> capitalize(s);
            case "title" -> title(s);
            case "swapcase" -> mapped(s, c -> Character.isUpperCase(c) ? lower(c) : upper(c));
            case "isdigit", "isdecimal", "isnumeric" -> all(s, Character::isDigit);
            case "isalpha" -> all(s, Character::isLetter);
            case "isalnum" -> all(s, Character::isLetterOrDigit);
            case "isspace" -> all(s, PythonText::isSpace);
            case "isupper" -> cased(s, Character::isUpperCase, Character::isLowerCase);
            default -> cased(s, Character::isLowerCase, Character::isUpperCase);
        };
    }

    private static boolean all(String s, java.util.function.IntPredicate test) {
        return !s.isEmpty() && s.codePoints().allMatch(test);
    }

    private static boolean cased(
            String s, java.util.function.IntPredicate wanted, java.util.function.IntPredicate unwanted) {
        return s.codePoints().anyMatch(wanted) && s.codePoints().noneMatch(unwanted);
    }

    private static String mapped(String s, java.util.function.IntFunction<String> change) {
        StringBuilder out = new StringBuilder();
        s.codePoints().forEach(c -> out.append(change.apply(c)));
        return out.toString();
    }

    private static String upper(int c) {
        return Character.toString(c).toUpperCase(Locale.ROOT);
    }

    private static String lower(int c) {
        return Character.toString(c).toLowerCase(Locale.ROOT);
    }

    static String capitalize(String s) {
        if (s.isEmpty()) {
            return s;
        }
        int first = s.codePointAt(0);
        return Character.toString(Character.toTitleCase(first))
                + s.substring(Character.charCount(first)).toLowerCase(Locale.ROOT);
    }

    /** A letter after anything but a letter is raised, every other one lowered. */
    private static String title(String s) {
        StringBuilder out = new StringBuilder();
        boolean[] inWord = {false};
        s.codePoints().forEach(c -> {
            out.append(inWord[0] ? lower(c) : Character.toString(Character.toTitleCase(c)));
            inWord[0] = Character.isLetter(c);
        });
        return out.toString();
    }

    static String strip(String s, Object chars, boolean left, boolean right) {
        java.util.function.IntPredicate strips = PythonText::isSpace;
        if (chars instanceof String set) {
            strips = c -> set.indexOf(c) >= 0;
        } else if (!(chars instanceof None)) {
            throw new TemplateFault("strip() needs a string, not " + Values.typeName(chars));
        }
        int start = 0;
        int end = s.length();
        while (left && start < end && strips.test(s.codePointAt(start))) {
            start += Character.charCount(s.codePointAt(start));
        }
        while (right && end > start && strips.test(s.codePointBefore(end))) {
            end -= Character.charCount(s.codePointBefore(end));
        }
        return s.substring(start, end);
    }

    private static String nonEmpty(String separator) {
        if (separator.isEmpty()) {
            throw new TemplateFault("a separator is empty");
        }
        return separator;
    }

    private static List<Object> split(String s, Object separator, long limit) {
        List<Object> parts = new ArrayList<>();
        if (separator instanceof None) {
            return words(s, limit);
        }
        String sep = nonEmpty(separatorText(separator));
        int at = 0;
        while (limit < 0 || parts.size() < limit) {
            int next = s.indexOf(sep, at);
            if (next < 0) {
                break;
            }
            parts.add(s.substring(at, next));
            at = next + sep.length();
        }
        parts.add(s.substring(at));
        return parts;
    }

    private static List<Object> words(String s, long limit) {
        List<Object> words = new ArrayList<>();
        int at = 0;
        while (true) {
            while (at < s.length() && PythonText.isSpace(s.charAt(at))) {
                at++;
            }
            if (at == s.length()) {
                return words;
            }
            int end = at;
            while (end < s.length() && !PythonText.isSpace(s.charAt(end))) {
                end++;
            }
            if (limit >= 0 && words.size() >= limit) {
                end = s.length();
            }
            words.add(s.substring(at, end));
            at = end;
        }
    }

    private static List<Object> splitFromRight(String s, Object separator, long limit) {
        if (limit < 0) {
            return split(s, separator, limit);
        }
        if (separator instanceof None) {
            throw TemplateFault.unsupported("rsplit() by white space with a limit");
        }
        String sep = nonEmpty(separatorText(separator));
        List<Object> parts = new ArrayList<>();
        int end = s.length();
        while (parts.size() < limit) {
            int at = end < sep.length() ? -1 : s.lastIndexOf(sep, end - sep.length());
            if (at < 0) {
                break;
            }
            parts.addFirst(s.substring(at + sep.length(), end));
            end = at;
        }
        parts.addFirst(s.substring(0, end));
        return parts;
    }

    private static String separatorText(Object separator) {
        Values.requireDefined(separator);
        if (separator instanceof String text) {
            return text;
        }
        throw new TemplateFault("split() needs a string, not " + Values.typeName(separator));
    }

    private static boolean startsOrEnds(String s, String name, Arguments arguments) {
        Object wanted = arguments.bind(name, "prefix").require("prefix");
        Values.requireDefined(wanted);
        List<Object> candidates = wanted instanceof Tuple tuple ? tuple.items() : List.of(wanted);
        for (Object candidate : candidates) {
            if (!(candidate instanceof String text)) {
                throw new TemplateFault(name + "() needs a string, not " + Values.typeName(candidate));
            }
            if (name.equals("startswith") ? s.startsWith(text) : s.endsWith(text)) {
                return true;
            }
        }
        return false;
    }

    String replace(String s, String old, String by, long limit) {
        long count = 0;
        StringBuilder out = new StringBuilder();
        int at = 0;
        while (limit < 0 || count < limit) {
            int next = s.indexOf(old, at);
            if (next < 0) {
                break;
            }
            budget.text(by.length());
            out.append(s, at, next).append(by);
            at = next + old.length();
            count++;
            if (old.isEmpty()) {
                if (at == s.length()) {
                    break;
                }
                int width = Character.charCount(s.codePointAt(at));
                out.append(s, at, at + width);
                at += width;
            }
        }
        return out.append(s.substring(at)).toString();
    }

    private String join(String separator, List<Object> items) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < items.size(); i++) {
            if (!(items.get(i) instanceof String text)) {
                throw new TemplateFault(
                        "join() needs strings, but item " + i + " has type " + Values.typeName(items.get(i)));
            }
            budget.text((long) text.length() + separator.length());
            out.append(i == 0 ? "" : separator).append(text);
        }
        return out.toString();
    }

    private static Object find(String s, String name, Arguments arguments) {
        String wanted = arguments.bind(name, "sub").text("sub");
        int at = name.startsWith("r") ? s.lastIndexOf(wanted) : s.indexOf(wanted);
        if (at < 0 && name.endsWith("index")) {
            throw new TemplateFault("substring not found");
        }
        return at < 0 ? -1L : (long) s.codePointCount(0, at);
    }

    private static long count(String s, String wanted) {
        if (wanted.isEmpty()) {
            return s.codePointCount(0, s.length()) + 1L;
        }
        long count = 0;
        for (int at = s.indexOf(wanted); at >= 0; at = s.indexOf(wanted, at + wanted.length())) {
            count++;
        }
        return count;
    }

    private String zfill(String s, long width) {
        budget.text(Math.max(0, width));
        long missing = width - s.codePointCount(0, s.length());
        if (missing <= 0) {
            return s;
        }
        boolean signed = s.startsWith("-") || s.startsWith("+");
        return (signed ? s.substring(0, 1) : "") + "0".repeat((int) missing) + s.substring(signed ? 1 : 0);
    }
}

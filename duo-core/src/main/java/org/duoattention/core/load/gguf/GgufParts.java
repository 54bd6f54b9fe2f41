package org.duoattention.core.load.gguf;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.duoattention.core.DuoException;

/**
 * The files that a model in GGUF format consists of: one, or the parts of a split whose names end in {@code
 * -00001-of-00003.gguf} (tools/gguf-split of ggml-org/llama.cpp).
 *
 * @param name the file name without part number and ending
 * @param files the files in order
 */
record GgufParts(String name, List<Path> files) {
    private static final String SUFFIX = ".gguf";
    private static final Pattern PART = Pattern.compile("(.+)-(\\d{5})-of-(\\d{5})\\.gguf");

    /** What the name of a part says. */
    private record Part(String name, int number, int count) {
        static Optional<Part> of(Path file) {
            Matcher matcher = PART.matcher(fileName(file));
            return matcher.matches()
                    ? Optional.of(new Part(
                            matcher.group(1), Integer.parseInt(matcher.group(2)), Integer.parseInt(matcher.group(3))))
                    : Optional.empty();
        }

        Path sibling(Path file, int other) {
            return file.resolveSibling("%s-%05d-of-%05d%s".formatted(name, other, count, SUFFIX));
        }
    }

    /** The parts of the model that a file belongs to; any part of a split stands for all. */
    static GgufParts ofFile(Path file) {
        Optional<Part> part = Part.of(file);
        if (part.isEmpty()) {
            String name = fileName(file);
            return new GgufParts(
                    name.endsWith(SUFFIX) ? name.substring(0, name.length() - SUFFIX.length()) : name, List.of(file));
        }
        Part named = part.get();
        if (named.number() < 1 || named.number() > named.count()) {
            throw new DuoException(file + ": its name says part " + named.number() + " of " + named.count()
                    + ", expected a number from 1 to the number of parts; take the file's original name");
        }
        List<Path> files = new ArrayList<>();
        for (int i = 1; i <= named.count(); i++) {
            Path sibling = named.sibling(file, i);
            if (!Files.isRegularFile(sibling)) {
                throw new DuoException(sibling + ": no such file; it is part " + i + " of the " + named.count()
                        + " parts of " + named.name() + ", download it into the same directory");
            }
            files.add(sibling);
        }
        return new GgufParts(named.name(), List.copyOf(files));
    }

    /** The only model in GGUF format in a directory, if there are any files of that kind. */
    static Optional<GgufParts> ofDirectory(Path directory) {
        TreeMap<String, Path> models = new TreeMap<>();
        try (Stream<Path> files = Files.list(directory)) {
            files.filter(file -> fileName(file).endsWith(SUFFIX) && Files.isRegularFile(file))
                    .sorted()
                    .forEach(file -> models.putIfAbsent(
                            Part.of(file)
                                    .map(part -> part.name() + " in " + part.count() + " parts")
                                    .orElse(fileName(file)),
                            file));
        } catch (IOException e) {
            throw new DuoException(directory + ": cannot be read (" + e.getMessage() + ")", e);
        }
        if (models.size() > 1) {
            throw new DuoException(directory + ": holds " + models.size() + " models in GGUF format, "
                    + models.firstKey() + " and " + models.higherKey(models.firstKey())
                    + (models.size() > 2 ? " among them" : "") + "; name the file that is to be read");
        }
        return models.values().stream().findFirst().map(GgufParts::ofFile);
    }

    private static String fileName(Path file) {
        Path name = file.getFileName();
        return name == null ? "" : name.toString();
    }
}

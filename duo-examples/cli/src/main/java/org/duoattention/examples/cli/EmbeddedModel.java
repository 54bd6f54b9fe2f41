package org.duoattention.examples.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The checkpoint that comes with the program, as a directory. Weights are mapped from a file, so from a jar it is copied to
 * a temporary directory, which {@link #close} removes; close the model before.
 */
final class EmbeddedModel implements AutoCloseable {
    private static final String ROOT = "/models/nano-retrieval/";
    private static final List<String> FILES = List.of(
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "heads/config.json",
            "heads/full_attention_heads.tsv");

    private final Path directory;
    private final boolean temporary;

    private EmbeddedModel(Path directory, boolean temporary) {
        this.directory = directory;
        this.temporary = temporary;
    }

    /**
     * Runs the body with the directory that was given and no heads, or with the embedded model's and its own heads.
     */
    static void unless(@Nullable Path given, BiConsumer<Path, Optional<Path>> body) {
        if (given != null) {
            body.accept(given, Optional.empty());
            return;
        }
        try (EmbeddedModel embedded = open()) {
            body.accept(embedded.directory(), Optional.of(embedded.heads()));
        }
    }

    static EmbeddedModel open() {
        URL config = EmbeddedModel.class.getResource(ROOT + FILES.getFirst());
        if (config == null) {
            throw new IllegalStateException("the embedded checkpoint is missing from the program");
        }
        if (config.getProtocol().equals("file")) {
            return new EmbeddedModel(parent(uri(config)), false);
        }
        try {
            Path copy = Files.createTempDirectory("duo-").resolve("nano-retrieval");
            EmbeddedModel model = new EmbeddedModel(copy, true);
            try {
                model.copy();
                return model;
            } catch (IOException | RuntimeException | Error e) {
                model.close();
                throw e;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Path parent(URI file) {
        Path parent = Path.of(file).getParent();
        if (parent == null) {
            throw new IllegalStateException("no directory above " + file);
        }
        return parent;
    }

    private static URI uri(URL url) {
        try {
            return url.toURI();
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private void copy() throws IOException {
        for (String file : FILES) {
            Path target = directory.resolve(file);
            Files.createDirectories(target.resolveSibling("."));
            try (InputStream in = EmbeddedModel.class.getResourceAsStream(ROOT + file)) {
                if (in == null) {
                    throw new IllegalStateException("the embedded checkpoint lacks " + file);
                }
                Files.copy(in, target);
            }
        }
    }

    Path directory() {
        return directory;
    }

    /** The pattern of its retrieval heads. */
    Path heads() {
        return directory.resolve("heads");
    }

    @Override
    public void close() {
        Path root = directory.getParent();
        if (!temporary || root == null) {
            return;
        }
        try (Stream<Path> files = Files.walk(root)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

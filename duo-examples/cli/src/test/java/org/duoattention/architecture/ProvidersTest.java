package org.duoattention.architecture;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The providers that a module declares are those that the class path finds, in every module. */
class ProvidersTest {
    private static final Path ROOT = Path.of("..", "..");
    private static final Path SOURCES = Path.of("src", "main", "java", "module-info.java");
    private static final Pattern COMMENT = Pattern.compile("/\\*.*?\\*/|//[^\\n]*", Pattern.DOTALL);
    private static final Pattern IMPORT = Pattern.compile("\\bimport\\s+([\\w.]+)\\s*;");
    private static final Pattern PROVIDES = Pattern.compile("\\bprovides\\s+([\\w.]+)\\s+with\\s+([\\w.,\\s]+);");

    static Stream<Path> modules() throws IOException {
        List<Path> modules = new ArrayList<>();
        for (Path folder : List.of(ROOT, ROOT.resolve("duo-examples"))) {
            try (Stream<Path> entries = Files.list(folder)) {
                entries.filter(entry -> Files.exists(entry.resolve(SOURCES)))
                        .sorted()
                        .forEach(modules::add);
            }
        }
        return modules.stream();
    }

    @ParameterizedTest
    @MethodSource("modules")
    void bothListsNameTheSameProviders(Path module) throws IOException {
        assertThat(serviceFiles(module)).isEqualTo(provides(Files.readString(module.resolve(SOURCES))));
    }

    @Test
    void theModulesThatAreKnownToProvideSomethingAreLookedAt() throws IOException {
        Map<String, Integer> services = new HashMap<>();
        for (Path module : modules().toList()) {
            services.put(
                    module.getFileName().toString(),
                    provides(Files.readString(module.resolve(SOURCES))).size());
        }
        assertThat(services)
                .containsEntry("duo-core", 2)
                .containsEntry("duo-backend-cpu", 1)
                .containsEntry("duo-backend-cuda", 1)
                .containsEntry("policy-plugin", 1)
                .containsEntry("duo-api", 0);
    }

    @Test
    void declarationsAreReadWithTheirImportsAndWithoutComments() {
        assertThat(provides("""
                import a.b.Service;

                /** provides x.Y with x.Z; */
                module m {
                    uses Service; // provides x.Y with x.W;
                    provides Service with
                            c.One,
                            c.Two;
                    provides d.Other with d.Three;
                }
                """))
                .isEqualTo(Map.of("a.b.Service", List.of("c.One", "c.Two"), "d.Other", List.of("d.Three")));
    }

    private static Map<String, List<String>> provides(String moduleInfo) {
        String code = COMMENT.matcher(moduleInfo).replaceAll(" ");
        Map<String, String> imports = new HashMap<>();
        for (MatchResult found : IMPORT.matcher(code).results().toList()) {
            String name = found.group(1);
            imports.put(name.substring(name.lastIndexOf('.') + 1), name);
        }
        Map<String, List<String>> services = new TreeMap<>();
        for (MatchResult found : PROVIDES.matcher(code).results().toList()) {
            List<String> providers = Arrays.stream(found.group(2).split(","))
                    .map(String::strip)
                    .map(name -> imports.getOrDefault(name, name))
                    .sorted()
                    .toList();
            services.put(imports.getOrDefault(found.group(1), found.group(1)), providers);
        }
        return services;
    }

    private static Map<String, List<String>> serviceFiles(Path module) throws IOException {
        Path folder = module.resolve(Path.of("src", "main", "resources", "META-INF", "services"));
        Map<String, List<String>> services = new TreeMap<>();
        if (Files.isDirectory(folder)) {
            try (Stream<Path> files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    List<String> providers = Files.readAllLines(file).stream()
                            .map(line -> line.replaceFirst("#.*", "").strip())
                            .filter(line -> !line.isEmpty())
                            .sorted()
                            .toList();
                    services.put(file.getFileName().toString(), providers);
                }
            }
        }
        return services;
    }
}

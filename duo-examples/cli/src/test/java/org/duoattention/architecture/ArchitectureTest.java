package org.duoattention.architecture;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The layers and habits that all modules keep. Each rule first asserts that it looks at a sensible number of classes. */
class ArchitectureTest {
    private static final String ROOT = "org.duoattention.";
    private static final JavaClasses ALL = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .withImportOption(location -> !location.contains("-tests.jar"))
            .importPackages("org.duoattention");

    /** What each layer may depend on inside the project, besides itself. */
    private static final Map<String, List<String>> LAYERS = Map.of(
            "api", List.of(),
            "quant", List.of("api"),
            "core", List.of("api", "quant"),
            "backend.cpu", List.of("api", "quant"),
            "backend.cuda", List.of("api", "quant"),
            "identify", List.of("api", "quant", "core"),
            "examples.policy", List.of("api"),
            "examples.quickstart", List.of("api", "core"),
            "examples.cli", List.of("api", "quant", "core", "identify"));

    @Test
    void everyClassBelongsToALayer() {
        List<JavaClass> strays = looksAt(ALL, 200).stream()
                .filter(c ->
                        LAYERS.keySet().stream().noneMatch(layer -> layer(layer).test(c)))
                .toList();

        assertThat(strays).isEmpty();
    }

    @ParameterizedTest(name = "{0} depends on the layers below it only")
    @CsvSource({
        "api, 30",
        "quant, 1",
        "core, 25",
        "backend.cpu, 30",
        "backend.cuda, 30",
        "identify, 10",
        "examples.policy, 1",
        "examples.quickstart, 1",
        "examples.cli, 3"
    })
    void layers(String layer, int atLeast) {
        JavaClasses classes = looksAt(ALL.that(layer(layer)), atLeast);
        String[] others = LAYERS.keySet().stream()
                .filter(other -> !other.equals(layer) && !LAYERS.get(layer).contains(other))
                .map(other -> ROOT + other + "..")
                .toArray(String[]::new);

        noClasses().should().dependOnClassesThat().resideInAnyPackage(others).check(classes);
    }

    @Test
    void theApiDependsOnTheJdkOnly() {
        JavaClasses classes = looksAt(ALL.that(layer("api")), 30);

        noClasses()
                .should()
                .dependOnClassesThat()
                .resideOutsideOfPackages("java..", ROOT + "api..")
                .check(classes);
    }

    @Test
    void theVectorApiStaysInTheVectorKernels() {
        String home = ROOT + "backend.cpu.vector..";
        // What the benchmark compares the kernels with is measured by the same means.
        String machine = ROOT + "examples.cli.machine..";
        looksAt(ALL.that(resideInAPackage(home)), 3);
        looksAt(ALL.that(resideInAPackage(machine)), 3);

        noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAPackage("jdk.incubator.vector..")
                .check(looksAt(ALL.that(outside(home, machine)), 200));
    }

    @Test
    void nativeBindingsStayInOnePackageOfTheCudaBackend() {
        String home = ROOT + "backend.cuda.blas..";
        looksAt(ALL.that(resideInAPackage(home)), 3);

        noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAPackage("org.bytedeco..")
                .check(looksAt(ALL.that(outside(home)), 200));
    }

    @Test
    void dependencyInjectionStaysInOnePackageAndThePrograms() {
        looksAt(ALL.that(resideInAPackage(ROOT + "core.inject..")), 1);

        noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("com.google.inject..", "jakarta.inject..")
                .check(looksAt(ALL.that(outside(ROOT + "core.inject..", ROOT + "examples..")), 200));
    }

    @Test
    void packagesHaveNoCycles() {
        looksAt(ALL, 200);

        slices().matching(ROOT + "(**)").should().beFreeOfCycles().check(ALL);
    }

    @Test
    void coreNamesNoBackend() {
        Path sources = Path.of("..", "..", "duo-core", "src", "main", "java");
        List<Path> files = javaFiles(sources);
        assertThat(files).hasSizeGreaterThan(20);

        assertThat(files).allSatisfy(file -> assertThat(file).content().doesNotContain("\"cpu\"", "\"cuda\""));
    }

    @ParameterizedTest
    @MethodSource("habits")
    void habits(Habit habit) {
        habit.rule().check(looksAt(ALL.that(habit.where()), 200));
    }

    @ParameterizedTest
    @MethodSource("habits")
    void habitsAreNoticedWhenBroken(Habit habit) {
        JavaClasses broken = new ClassFileImporter().importClasses(BrokenHabits.class);

        assertThat(habit.rule().evaluate(broken).hasViolation()).isTrue();
    }

    static Stream<Habit> habits() {
        return Habits.all();
    }

    private static DescribedPredicate<JavaClass> layer(String layer) {
        return resideInAPackage(ROOT + layer + "..");
    }

    private static DescribedPredicate<JavaClass> outside(String... packages) {
        return DescribedPredicate.not(resideInAnyPackage(packages));
    }

    private static JavaClasses looksAt(JavaClasses classes, int atLeast) {
        assertThat(classes.size()).as("number of classes looked at").isGreaterThanOrEqualTo(atLeast);
        return classes;
    }

    private static List<Path> javaFiles(Path folder) {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(file -> file.toString().endsWith(".java")).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Something that classes don't do.
     *
     * @param where the classes it holds for
     */
    record Habit(String name, DescribedPredicate<JavaClass> where, ArchRule rule) {
        static DescribedPredicate<JavaClass> except(String... names) {
            List<String> list = List.of(names);
            return describe(
                    "not one of " + list, c -> !list.contains(topLevel(c).getSimpleName()));
        }

        static JavaClass topLevel(JavaClass c) {
            return c.getEnclosingClass().map(Habit::topLevel).orElse(c);
        }

        @Override
        public String toString() {
            return name;
        }
    }
}

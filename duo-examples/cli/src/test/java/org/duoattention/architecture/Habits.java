package org.duoattention.architecture;

import static com.tngtech.archunit.base.DescribedPredicate.alwaysTrue;
import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaMethodCall;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.syntax.elements.ClassesShouldConjunction;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Set;
import java.util.stream.Stream;
import org.duoattention.architecture.ArchitectureTest.Habit;

/** The habits that {@link ArchitectureTest} checks, each with the classes that are exempt by name. */
final class Habits {
    private Habits() {}

    static Stream<Habit> all() {
        return Stream.of(
                new Habit("no Class.forName", alwaysTrue(), calls("forName of Class", Class.class, Set.of("forName"))),
                // NativeMemory and PinnedMemory dress the blocks they allocate, and free, themselves; Driver the names
                // of errors.
                new Habit(
                        "no MemorySegment.reinterpret",
                        Habit.except("NativeMemory", "PinnedMemory", "Driver"),
                        calls("reinterpret of MemorySegment", MemorySegment.class, Set.of("reinterpret"))),
                // NVIDIA's libraries stay loaded until the process ends.
                new Habit(
                        "no arena that nobody closes",
                        Habit.except("NativeLibrary", "Driver"),
                        calls("ofAuto or global of Arena", Arena.class, Set.of("ofAuto", "global"))),
                new Habit("whoever opens an arena closes it", alwaysTrue(), opensWithoutClosing()),
                new Habit(
                        "no standard streams outside the programs",
                        not(resideInAPackage("org.duoattention.examples..")),
                        standardStreams()));
    }

    private static ArchRule calls(String what, Class<?> owner, Set<String> methods) {
        return noClasses()
                .should()
                .callMethodWhere(describe("target is " + what, call -> targets(call, owner, methods)));
    }

    private static ArchRule opensWithoutClosing() {
        DescribedPredicate<JavaClass> closesNone = describe(
                "close none",
                c -> callsOf(Habit.topLevel(c)).noneMatch(call -> targets(call, Arena.class, Set.of("close"))));
        return noClasses()
                .that(closesNone)
                .should()
                .callMethodWhere(describe(
                        "an arena is opened", call -> targets(call, Arena.class, Set.of("ofShared", "ofConfined"))))
                .allowEmptyShould(true);
    }

    private static ClassesShouldConjunction standardStreams() {
        return noClasses()
                .should()
                .accessField(System.class, "out")
                .orShould()
                .accessField(System.class, "err")
                .orShould()
                .callMethod(Throwable.class, "printStackTrace");
    }

    /** The calls of a class and of those nested in it: a lambda or a nested class may do the closing. */
    private static Stream<JavaMethodCall> callsOf(JavaClass top) {
        return top.getPackage().getClasses().stream()
                .filter(c -> Habit.topLevel(c).equals(top))
                .flatMap(c -> c.getMethodCallsFromSelf().stream());
    }

    private static boolean targets(JavaMethodCall call, Class<?> owner, Set<String> methods) {
        return call.getTargetOwner().isEquivalentTo(owner) && methods.contains(call.getName());
    }
}

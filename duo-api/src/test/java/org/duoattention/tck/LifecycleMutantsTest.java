package org.duoattention.tck;

import java.util.List;
import java.util.Set;
import org.duoattention.api.backend.SlabSpec;

/** Wrong accounts of memory, and use of what is closed. */
class LifecycleMutantsTest extends Mutants {
    @Override
    void define() {
        device(
                "lies about the bytes of slabs",
                call -> {
                    Object result = call.proceed();
                    return call.is("bytes") && call.arguments[0] instanceof SlabSpec ? (Long) result / 2 : result;
                },
                "bytesAreWhatIsAllocated");
        device("never gives memory back", new Leak(), "bytesAreWhatIsAllocated", "tensorBytesAreWhatIsAllocated");
        device(
                "has no capabilities to speak of",
                call -> call.is("capabilities") ? Set.of() : call.proceed(),
                "capabilitiesAreAllButTheUnsupported");
        device(
                "takes a description of two lines",
                call -> call.is("description") ? "a\nb" : call.proceed(),
                "theIdIsFitForAnOption");
        stream(
                "is usable from any thread",
                swallowing(WrongThreadException.class, "synchronize", "upload", "add", "slots", "close"),
                "anotherThreadIsRefused");
        stream(
                "accepts closed tensors",
                swallowing(IllegalStateException.class, "add", "linear", "append"),
                "closedTensorsAndSlabsAreRefused",
                "aClosedStreamRefusesEverything",
                "aClosedDeviceRefusesEverything");
        stream(
                "overfills slabs",
                swallowing(IllegalStateException.class, "append"),
                "moreThanTheLongestContextIsRefused",
                "aMissingEvictionIsNoticed");
        add(
                "accepts any option",
                new Mutant(Call::proceed, Call::proceed, Call::proceed, true, List.of("unknownOptionsAreRefused")));
    }

    private static final class Leak implements Mutation {
        private long most;

        @Override
        public Object apply(Call call) throws Throwable {
            Object result = call.proceed();
            if (call.is("allocatedBytes")) {
                most = Math.max(most, (Long) result);
                return most;
            }
            return result;
        }
    }
}

package org.duoattention.identify.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.core.DuoException;
import org.duoattention.core.head.PatternDirectory;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.identify.data.TrainingData;
import org.duoattention.identify.data.TrainingSequence;
import org.duoattention.identify.distill.BlendRule;
import org.duoattention.identify.distill.FrozenModel;
import org.duoattention.identify.distill.StepSettings;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GateTrainingTest {
    private static final Path CHECKPOINT =
            Path.of("..", "duo-core", "src", "test", "resources", "checkpoints", "qwen3");
    private static final int STEPS = 12;
    private static final TrainingSettings SETTINGS = new TrainingSettings(
            new StepSettings(2, 6, BlendRule.UPSTREAM, 0.05, 16), LearningRateSchedule.of(STEPS), 0.05);
    private static final RunDescription RUN =
            new RunDescription(Map.of("lr", 0.05, "num_steps", STEPS, "name", "a run", "long", 1L << 40));

    @TempDir
    private Path folder;

    /** Ids at random, of a length that depends on the step. */
    private record RandomData(int vocabulary) implements TrainingData {
        @Override
        public int maxTokens() {
            return 48;
        }

        @Override
        public TrainingSequence sequence(long step) {
            Random random = new Random(step);
            int tokens = 24 + random.nextInt(25);
            return new TrainingSequence(
                    random.ints(tokens, 0, vocabulary).toArray(),
                    IntStream.range(tokens - 10, tokens).toArray());
        }
    }

    /** Ends the process, as far as a test can: nothing of the library runs any more. */
    private static final class Killed extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    @Test
    void gatesMoveAndWhatIsLearnedIsReported() throws InterruptedException {
        List<TrainingProgress> seen = new ArrayList<>();
        try (Model model = open(CHECKPOINT)) {
            TrainingOutcome outcome = new GateTraining(FrozenModel.of(model), data(model), SETTINGS).run(seen::add);

            assertThat(seen).hasSize(STEPS);
            assertThat(seen).extracting(TrainingProgress::step).isSorted().contains(1, STEPS);
            assertThat(outcome.distill()).hasSize(STEPS);
            assertThat(outcome.distill()[0]).isCloseTo(0, within(1e-9));
            assertThat(outcome.regularisation()[0]).isOne();
            assertThat(outcome.gates()).hasDimensions(3, 2);
            for (double[] layer : outcome.gates()) {
                assertThat(Arrays.stream(layer)).allMatch(gate -> gate >= 0 && gate <= 1);
            }
            assertThat(Arrays.stream(outcome.gates())
                            .flatMapToDouble(Arrays::stream)
                            .min()
                            .orElseThrow())
                    .isLessThan(1);
            assertThat(outcome.pattern(SETTINGS, Map.of("seed", 3)).settings())
                    .containsEntry("seed", 3)
                    .containsKey("final_distill");
        }
    }

    @Test
    void aRunThatWasKilledEndsWithTheSameGates() throws InterruptedException {
        try (Model model = open(CHECKPOINT)) {
            double[][] uninterrupted = new GateTraining(FrozenModel.of(model), data(model), SETTINGS)
                    .run(progress -> {})
                    .gates();
            Path directory = folder.resolve("killed");
            List<Integer> begun = new ArrayList<>();
            for (int last : new int[] {1, 4, 9}) {
                assertThatThrownBy(() -> saved(model, directory, 3).run(listener(begun, last)))
                        .isInstanceOf(Killed.class);
            }
            TrainingOutcome resumed = saved(model, directory, 3).run(listener(begun, -1));
            assertThat(resumed.gates()).isDeepEqualTo(uninterrupted);
            assertThat(resumed.distill()).hasSize(STEPS);
            // Killed within step 10, after 9 were saved: at most what was done since the last save is lost.
            assertThat(begun).containsExactly(0, 0, 3, 6);

            assertThat(saved(model, directory, 3).run(listener(begun, 1)).gates())
                    .as("a run that is complete has nothing to do")
                    .isDeepEqualTo(uninterrupted);
            try (Stream<Path> files = Files.list(directory)) {
                assertThat(files).hasSize(1);
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }
    }

    private static TrainingListener listener(List<Integer> begun, int killedAfter) {
        return new TrainingListener() {
            @Override
            public void begun(int done, int steps) {
                begun.add(done);
            }

            @Override
            public void step(TrainingProgress progress) {
                if (progress.step() == killedAfter) {
                    throw new Killed();
                }
            }
        };
    }

    @Test
    void anInterruptedRunLosesOnlyItsStep() throws InterruptedException {
        try (Model model = open(CHECKPOINT)) {
            Path directory = folder.resolve("interrupted");
            assertThatThrownBy(() -> saved(model, directory, 100).run(progress -> {
                        if (progress.step() == 5) {
                            Thread.currentThread().interrupt();
                        }
                    }))
                    .isInstanceOf(InterruptedException.class);
            List<Integer> begun = new ArrayList<>();
            saved(model, directory, 100).run(listener(begun, -1));
            assertThat(begun).containsExactly(5);
        }
    }

    @Test
    void anotherRunsStateIsRefusedWithTheDifference() throws InterruptedException {
        try (Model model = open(CHECKPOINT)) {
            Path directory = folder.resolve("other");
            saved(model, directory, 3).run(progress -> {});
            Map<String, Object> changed = new HashMap<>(RUN.values());
            changed.put("lr", 0.02);
            GateTraining other = new GateTraining(
                    FrozenModel.of(model), data(model), SETTINGS, directory, new RunDescription(changed), 3);

            assertThatThrownBy(() -> other.run(progress -> {}))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining(directory.toString())
                    .hasMessageContaining("lr is 0.05 there and 0.02 here");
        }
    }

    @Test
    void aForeignPatternIsNotOverwritten() throws IOException {
        Path directory = Files.createDirectory(folder.resolve("pattern"));
        Files.writeString(directory.resolve(PatternDirectory.SCORES), "1\n");
        try (Model model = open(CHECKPOINT)) {
            assertThatThrownBy(() -> saved(model, directory, 3).run(progress -> {}))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining(directory.toString());
        }
    }

    @Test
    void damagedStatesAreRefused() throws Exception {
        try (Model model = open(CHECKPOINT)) {
            Path directory = folder.resolve("damaged");
            saved(model, directory, 3).run(progress -> {});
            Path state = directory.resolve("identify_state.json");
            String whole = Files.readString(state);
            for (String damaged : List.of(
                    "",
                    "{}",
                    whole.substring(0, whole.length() / 2),
                    whole.replaceFirst("\"gates\" : \\[", "\"gates\" : [ 1,"),
                    whole.replaceFirst("\"first\"", "\"last\""),
                    whole.replaceFirst("\"step\" : 12", "\"step\" : 11"))) {
                Files.writeString(state, damaged);
                assertThatThrownBy(() -> saved(model, directory, 3).run(progress -> {}))
                        .as(damaged)
                        .isInstanceOf(DuoException.class)
                        .hasMessageContaining("identify_state.json");
            }
        }
    }

    @Test
    void aLossThatIsNoNumberNamesStepAndLayer() throws IOException {
        Path broken = Files.createDirectory(folder.resolve("broken"));
        Files.copy(CHECKPOINT.resolve("config.json"), broken.resolve("config.json"));
        byte[] file = Files.readAllBytes(CHECKPOINT.resolve("model.safetensors"));
        setToNaN(file, "model.layers.1.mlp.down_proj.weight");
        Files.write(broken.resolve("model.safetensors"), file);
        try (Model model = open(broken)) {
            assertThatThrownBy(() -> new GateTraining(FrozenModel.of(model), data(model), SETTINGS).run(progress -> {}))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("Step 1:")
                    .hasMessageContaining("layer 1");
        }
    }

    private static void setToNaN(byte[] safetensors, String tensor) {
        ByteBuffer buffer = ByteBuffer.wrap(safetensors).order(ByteOrder.LITTLE_ENDIAN);
        int header = (int) buffer.getLong(0);
        String json = new String(safetensors, 8, header, StandardCharsets.UTF_8);
        String offsets = json.substring(json.indexOf("\"data_offsets\"", json.indexOf("\"" + tensor + "\"")));
        int begin = Integer.parseInt(offsets.replaceFirst("(?s)[^\\[]*\\[\\s*(\\d+).*", "$1"));
        buffer.putShort(8 + header + begin, (short) 0x7fc0);
    }

    private static GateTraining saved(Model model, Path directory, int every) {
        return new GateTraining(FrozenModel.of(model), data(model), SETTINGS, directory, RUN, every);
    }

    private static RandomData data(Model model) {
        return new RandomData(model.shape().vocabSize());
    }

    private static Model open(Path checkpoint) {
        return Duo.create().model(checkpoint).require(Capability.GRADIENTS).open();
    }
}

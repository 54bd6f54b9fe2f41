package org.duoattention.identify.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import org.duoattention.api.backend.Capability;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StepMemoryTest {
    private static final Path CHECKPOINT =
            Path.of("..", "duo-core", "src", "test", "resources", "checkpoints", "qwen3");

    @ParameterizedTest
    @CsvSource({"1, 1", "100, 512", "500, 64", "513, 512"})
    void whatIsPlannedIsWhatIsAllocated(int tokens, int block) {
        try (Model model =
                Duo.create().model(CHECKPOINT).require(Capability.GRADIENTS).open()) {
            long before = model.device().allocatedBytes();
            StepMemory memory = new StepMemory(model.shape(), tokens, block);
            long planned = memory.bytes(model.device());
            try (GateStep step = new GateStep(
                    FrozenModel.of(model), new StepSettings(4, 8, BlendRule.UPSTREAM, 0.05, block), tokens)) {
                assertThat(model.device().allocatedBytes() - before).isEqualTo(planned);
                assertThat(step.memory()).isEqualTo(memory);
            }
            assertThat(model.device().allocatedBytes()).isEqualTo(before);
        }
    }

    @ParameterizedTest
    @CsvSource({"2000000000"})
    void whatDoesNotFitIsRefusedBeforeAnythingIsAllocated(int tokens) {
        try (Model model =
                Duo.create().model(CHECKPOINT).require(Capability.GRADIENTS).open()) {
            long before = model.device().allocatedBytes();
            assertThatThrownBy(() -> new GateStep(
                            FrozenModel.of(model), new StepSettings(4, 8, BlendRule.UPSTREAM, 0.05, 512), tokens))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining(tokens + " tokens")
                    .hasMessageContaining("bytes");
            assertThat(model.device().allocatedBytes()).isEqualTo(before);
        }
    }
}

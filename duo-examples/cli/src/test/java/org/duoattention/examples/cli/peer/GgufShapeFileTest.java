package org.duoattention.examples.cli.peer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Session;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What is written for peers is a model in the eyes of our own reader too, and its numbers are harmless. */
class GgufShapeFileTest {
    @TempDir
    Path directory;

    @ParameterizedTest
    @EnumSource
    void aFileOfAShapeIsAModelOfThatShape(GgmlType type) throws IOException {
        Path json = Files.writeString(directory.resolve("tiny.json"), """
                {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                 "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 320,
                 "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 256}
                """);
        ModelConfig config = ModelConfig.readFile(json);
        GgufShapeFile shape = new GgufShapeFile(config, type);
        Path file = directory.resolve("model.gguf");
        shape.write(file);

        try (Model model = Model.open(file);
                Session session = model.session().maxContext(64).open()) {
            assertThat(model.shape()).isEqualTo(config.shape());
            assertThat(model.config().rope().theta()).isEqualTo(10_000);
            session.prefill(new int[] {260, 300, 319, 259});
            float[] logits = session.logits();
            for (float logit : logits) {
                assertThat(logit).isFinite();
            }
            assertThat(logits[0]).isNotEqualTo(logits[1]);
        }
        assertThat(Files.size(file)).isBetween(shape.tensorBytes(), shape.tensorBytes() + 20_000);
        assertThat(List.of(directory.toFile().list())).containsExactlyInAnyOrder("tiny.json", "model.gguf");
    }
}

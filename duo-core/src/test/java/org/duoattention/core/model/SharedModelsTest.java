package org.duoattention.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.core.SharedFiles;
import org.duoattention.core.load.Checkpoint;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Real checkpoints of every family: configuration in both styles, single file and shards, all weight types. */
class SharedModelsTest {
    @ParameterizedTest
    @CsvSource({
        // Byte totals are the sums of the tensors' extents times two, from the shapes in the configurations.
        "llama-gqa, LLAMA, 3, 64, 8, 4, 8, 160, 320, false, false, BF16, 340864",
        "llama-mha-f16, LLAMA, 3, 64, 8, 8, 8, 160, 320, false, false, F16, 365440",
        "llama31-rope, LLAMA, 3, 64, 8, 4, 8, 160, 320, true, false, BF16, 299904",
        "qwen2-bias, QWEN2, 3, 64, 8, 2, 8, 160, 320, true, true, BF16, 288192",
        "nano-retrieval, LLAMA, 4, 128, 8, 4, 32, 384, 1024, true, false, BF16, 2230528"
    })
    void readsEveryModel(
            String name,
            ModelFamily family,
            int layers,
            int hidden,
            int heads,
            int kvHeads,
            int headDim,
            int intermediate,
            int vocab,
            boolean tied,
            boolean bias,
            DType dtype,
            long bytes) {
        Path directory = SharedFiles.require("models/" + name);
        ModelConfig config = ModelConfig.read(directory);
        assertThat(config.family()).isEqualTo(family);
        assertThat(config.shape())
                .isEqualTo(new ModelShape(layers, hidden, heads, kvHeads, headDim, intermediate, vocab));
        assertThat(config.tieWordEmbeddings()).isEqualTo(tied);
        assertThat(config.queryKeyValueBias()).isEqualTo(bias);
        assertThat(config.outputBias()).isFalse();
        assertThat(config.slidingWindow()).isEmpty();
        assertThat(config.rmsNormEps()).isEqualTo(1e-5, within(0.0));
        config.checkContext(1 << 20);

        try (Checkpoint weights = Checkpoint.open(directory)) {
            assertThat(weights.dtypes()).isEqualTo(Set.of(dtype));
            assertThat(weights.totalBytes()).isEqualTo(bytes);
            weights.get("model.embed_tokens.weight", vocab, hidden);
            weights.get("model.layers.0.self_attn.q_proj.weight", (long) heads * headDim, hidden);
            weights.get("model.layers.0.self_attn.k_proj.weight", (long) kvHeads * headDim, hidden);
            assertThat(weights.find("lm_head.weight").isPresent()).isEqualTo(!tied);
            assertThat(weights.find("model.layers.0.self_attn.q_proj.bias").isPresent())
                    .isEqualTo(bias);
            HostTensor norm = weights.get("model.norm.weight", hidden);
            for (int i = 0; i < hidden; i++) {
                assertThat(norm.floatAt(i)).isFinite();
            }
        }
        assertThat(GenerationConfig.read(directory, config).eosTokenIds())
                .isEqualTo(name.equals("nano-retrieval") ? List.of(1023) : List.of(2));
    }

    @Test
    void readsRopeOfBothStyles() {
        assertThat(ModelConfig.read(SharedFiles.require("models/qwen2-bias")).rope())
                .isEqualTo(new RopeConfig(1_000_000, new RopeScaling.None()));
        assertThat(ModelConfig.read(SharedFiles.require("models/llama31-rope")).rope())
                .isEqualTo(new RopeConfig(500_000, new RopeScaling.Llama3(8, 1, 4, 256)));
        assertThat(ModelConfig.read(SharedFiles.require("models/nano-retrieval"))
                        .rope())
                .isEqualTo(new RopeConfig(500_000, new RopeScaling.None()));
    }
}

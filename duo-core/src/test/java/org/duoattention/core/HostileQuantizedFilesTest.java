package org.duoattention.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Random;
import java.util.StringJoiner;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.core.json.JsonFile;
import org.duoattention.core.load.Checkpoint;
import org.duoattention.core.load.CheckpointFiles;
import org.duoattention.core.load.QuantizationConfig;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Thousands of damaged checkpoints of every quantised kind: configuration, headers and numbers. Each one either loads and
 * holds finite numbers, or is refused with one line; nothing else is thrown, and memory and time stay bounded.
 */
@Timeout(120)
class HostileQuantizedFilesTest {
    private static final int MUTATIONS = 3_500;
    private static final int ROWS = 16;
    private static final int COLUMNS = 32;
    private static final long MOST_BYTES_PER_FILE = 32L << 20;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    /** A layer m of 16 x 32 in groups of 16, with zero points. */
    enum Kind {
        COMPRESSED_TENSORS("""
                {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "ignore":
                 ["re:.*head", "x"], "quantization_status": "compressed", "kv_cache_scheme": null, "config_groups":
                 {"group_0": {"targets": ["re:^(m|n)+$", "Linear"], "input_activations": null, "output_activations": null,
                 "weights": {"num_bits": 4, "type": "int", "symmetric": false, "strategy": "group", "group_size": 16,
                 "dynamic": false, "actorder": null}}}}}
                """) {
            @Override
            String header() {
                return entries(
                        CheckpointFiles.entry("m.weight_shape", "I64", "[2]", 0, 16),
                        CheckpointFiles.entry("m.weight_packed", "I32", "[16,4]", 16, 272),
                        CheckpointFiles.entry("m.weight_zero_point", "I32", "[2,2]", 272, 288),
                        CheckpointFiles.entry("m.weight_scale", "F16", "[16,2]", 288, 352));
            }

            @Override
            byte[] data(Random random) {
                byte[] data = data(random, 352, 288, 352);
                for (int i = 0; i < 16; i++) {
                    data[i] = (byte) (i == 0 ? ROWS : i == 8 ? COLUMNS : 0);
                }
                return data;
            }
        },
        AWQ("""
                {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 16, "zero_point": true,
                 "version": "gemm", "modules_to_not_convert": null}}
                """) {
            @Override
            String header() {
                return entries(
                        CheckpointFiles.entry("m.qweight", "I32", "[32,2]", 0, 256),
                        CheckpointFiles.entry("m.qzeros", "I32", "[2,2]", 256, 272),
                        CheckpointFiles.entry("m.scales", "F16", "[2,16]", 272, 336));
            }

            @Override
            byte[] data(Random random) {
                return data(random, 336, 272, 336);
            }
        },
        GPTQ("""
                {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 16, "desc_act": false, "sym": false,
                 "checkpoint_format": "gptq", "damp_percent": 0.01, "pack_dtype": "int32", "dynamic": {}}}
                """) {
            @Override
            String header() {
                return entries(
                        CheckpointFiles.entry("m.qweight", "I32", "[4,16]", 0, 256),
                        CheckpointFiles.entry("m.qzeros", "I32", "[2,2]", 256, 272),
                        CheckpointFiles.entry("m.g_idx", "I32", "[32]", 272, 400),
                        CheckpointFiles.entry("m.scales", "F16", "[2,16]", 400, 464));
            }

            @Override
            byte[] data(Random random) {
                byte[] data = data(random, 464, 400, 464);
                for (int i = 272; i < 400; i++) {
                    data[i] = (byte) (i % 4 == 0 && i >= 272 + 64 ? 1 : 0);
                }
                return data;
            }
        };

        final String config;

        Kind(String config) {
            this.config = config;
        }

        abstract String header();

        abstract byte[] data(Random random);

        /** Random numbers, and ones where the scales lie. */
        static byte[] data(Random random, int bytes, int scales, int end) {
            byte[] data = new byte[bytes];
            random.nextBytes(data);
            for (int i = scales; i < end; i += 2) {
                data[i] = 0;
                data[i + 1] = 0x3c;
            }
            return data;
        }

        private static String entries(String... entries) {
            StringJoiner header = new StringJoiner(",", "{", "}");
            for (String entry : entries) {
                header.add(entry);
            }
            return header.toString();
        }
    }

    @TempDir
    Path directory;

    private final Mutator mutator = new Mutator(20_261_121);
    private final Random random = new Random(7);
    private int loaded;
    private int refused;

    @ParameterizedTest
    @EnumSource
    void damaged(Kind kind) {
        // Loading classes allocates too, the more so when they are instrumented for coverage: not in a counted attempt.
        CheckpointFiles.write(directory.resolve("config.json"), kind.config);
        CheckpointFiles.writeSingle(directory, CheckpointFiles.safetensors(kind.header(), kind.data(random)));
        read();
        for (int i = 0; i < MUTATIONS; i++) {
            int what = i % 3;
            String config = what == 0 ? mutator.rewrite(kind.config) : kind.config;
            String header = what == 1 ? mutator.rewrite(kind.header()) : kind.header();
            byte[] data = kind.data(random);
            if (what == 2) {
                data[mutator.below(data.length)] = (byte) random.nextInt();
                data[mutator.below(data.length)] ^= (byte) (1 << random.nextInt(8));
            }
            CheckpointFiles.write(directory.resolve("config.json"), config);
            CheckpointFiles.writeSingle(directory, CheckpointFiles.safetensors(header, data));
            attempt(i, config + "\n" + header);
        }
        assertThat(loaded).as("files that loaded").isGreaterThan(MUTATIONS / 50);
        assertThat(refused).as("files that were refused").isGreaterThan(MUTATIONS / 10);
    }

    private void attempt(int index, String content) {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        try {
            read();
            loaded++;
        } catch (DuoException e) {
            assertThat(e.getMessage()).isNotBlank().hasSizeLessThan(1000);
            assertThat(e.getMessage().chars().filter(Character::isISOControl).count())
                    .as("control characters in: %s", e.getMessage())
                    .isZero();
            refused++;
        } catch (Throwable t) {
            fail("mutation " + index + ": " + t + "\n" + content, t);
        }
        assertThat(THREADS.getCurrentThreadAllocatedBytes() - before)
                .as("bytes allocated for mutation %d of %s", index, content)
                .isLessThan(MOST_BYTES_PER_FILE);
    }

    private void read() {
        QuantizationConfig.check(JsonFile.read(directory.resolve("config.json")));
        try (Checkpoint checkpoint = Checkpoint.open(directory);
                Arena arena = Arena.ofConfined()) {
            switch (checkpoint.matrix("m.weight", ROWS, COLUMNS, arena)) {
                case QuantizedMatrix matrix -> {
                    assertThat(checkpoint.isQuantized()).isTrue();
                    assertThat(matrix.spec().rows()).isEqualTo(ROWS);
                    assertThat(matrix.spec().columns()).isEqualTo(COLUMNS);
                    for (int row = 0; row < ROWS; row++) {
                        for (int column = 0; column < COLUMNS; column++) {
                            assertThat(matrix.valueAt(row, column)).isFinite();
                        }
                    }
                }
                case HostTensor dense -> assertThat(dense.spec().elements()).isEqualTo(ROWS * COLUMNS);
            }
        }
    }
}

package org.duoattention.core.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.DuoException;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sessions whose keys and values are quantised, on a float64 device. */
class QuantizedCacheTest {
    private static final HeadMask MASK = HeadMask.of(TinyCheckpoint.KV_HEADS, List.of(HeadSet.of(1), HeadSet.empty()));
    private static final BlockFormat INT8 = new BlockFormat.Grouped(8, 8, true, DType.F16);
    private static final BlockFormat INT4 = new BlockFormat.Grouped(4, 8, true, DType.F16);

    @TempDir
    private Path directory;

    private static SessionBuilder duo(Model model) {
        return model.session()
                .policy("duo")
                .heads(MASK)
                .sinks(2)
                .recent(8)
                .maxContext(256)
                .chunk(16);
    }

    private static float[] logits(SessionBuilder builder) {
        int[] ids = new Random(3).ints(100, 3, TinyCheckpoint.VOCABULARY).toArray();
        try (Session session = builder.open()) {
            session.prefill(ids);
            return session.logits();
        }
    }

    private static double distance(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += (double) (a[i] - b[i]) * (a[i] - b[i]);
        }
        return Math.sqrt(sum / a.length);
    }

    @Test
    void fewerBitsMoveTheLogitsMore() {
        OpaqueBackend backend = new OpaqueBackend();
        try (Model model =
                TestDuo.with(backend).model(TinyCheckpoint.write(directory)).open()) {
            float[] exact = logits(duo(model).kv(BlockFormat.F32));
            double int8 = distance(logits(duo(model).kv(INT8)), exact);
            double int4 = distance(logits(duo(model).kv(INT4)), exact);
            double mixed = distance(logits(duo(model).kv(INT4).streamingKv(BlockFormat.F32)), exact);
            // A step of 8 bits is a seventeenth of one of 4 bits.
            assertThat(int8).isGreaterThan(0).isLessThan(int4 / 8);
            assertThat(mixed).isGreaterThan(0).isLessThan(int4);
        }
        backend.assertClosed();
    }

    @Test
    void streamingHeadsMayHaveAnotherFormat() {
        try (Model model = TestDuo.with(new OpaqueBackend())
                .model(TinyCheckpoint.write(directory))
                .open()) {
            SessionPlan plan = duo(model).kv(INT4).streamingKv(BlockFormat.F16).plan();
            assertThat(plan.options().kv()).isEqualTo(INT4);
            assertThat(plan.options().streamingKv()).isEqualTo(BlockFormat.F16);
            plan.cache()
                    .plan()
                    .slabs()
                    .forEach(slab -> assertThat(plan.cache().slab(slab).format())
                            .isEqualTo(slab.retention() instanceof Retention.All ? INT4 : BlockFormat.F16));
            long before = model.device().allocatedBytes();
            try (Session session =
                    duo(model).kv(INT4).streamingKv(BlockFormat.F16).open()) {
                assertThat(model.device().allocatedBytes() - before).isEqualTo(plan.kvBytes() + plan.activationBytes());
            }
        }
    }

    @Test
    void whatCannotBeHonouredIsRefused() {
        try (Model model = TestDuo.with(new OpaqueBackend())
                .model(TinyCheckpoint.write(directory))
                .open()) {
            assertThatThrownBy(() -> model.session().streamingKv(INT8).plan())
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("streaming-kv");
        }
        OpaqueBackend without = new OpaqueBackend(OpaqueBackend.DEFAULT_MEMORY, Set.of(Capability.QUANTIZED_CACHE));
        try (Model model = TestDuo.with(without).model(directory).open()) {
            assertThatThrownBy(() -> duo(model).kv(INT8).plan())
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("int8")
                    .hasMessageContaining("opaque");
            assertThatThrownBy(() -> duo(model).streamingKv(INT8).plan())
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("int8");
        }
    }
}

package org.duoattention.examples.benchmarks;

import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.model.ModelShape;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** Attention of one layer with 32 query heads and 8 KV heads over a cache that keeps everything. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(
        value = 1,
        jvmArgsAppend = {"--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
public class AttentionBenchmark {
    private static final int QUERY_HEADS = 32;
    private static final int KV_HEADS = 8;

    /** Storage of keys and values. */
    @Param({"f16", "bf16", "int8", "int4"})
    String kv = "";

    /** Width of a head. */
    @Param({"64", "128"})
    int headDim;

    /** Tokens in the cache, those of the queries included. */
    @Param({"32768"})
    int depth;

    /** Queries: 1 for a decode step, many for a chunk of a prefill. */
    @Param({"1", "512"})
    int rows;

    private Rig rig;
    private Slab slab;
    private Tensor q;
    private Tensor out;

    /** Fills the cache. */
    @Setup
    public void open() {
        ModelShape shape = new ModelShape(1, QUERY_HEADS * headDim, QUERY_HEADS, KV_HEADS, headDim, headDim, 2);
        rig = Rig.open("cpu", Map.of());
        slab = rig.slab(shape, Rig.cache(kv, headDim), depth, rows);
        q = rig.activations(rows, shape.queryWidth());
        out = rig.activations(rows, shape.queryWidth());
    }

    /** The attention. */
    @Benchmark
    public void attend() {
        rig.stream().attend(slab, q, (float) (1 / Math.sqrt(headDim)), PrefillMode.UPSTREAM, out);
        rig.stream().synchronize();
    }

    /** Releases everything. */
    @TearDown
    public void close() {
        rig.close();
    }
}

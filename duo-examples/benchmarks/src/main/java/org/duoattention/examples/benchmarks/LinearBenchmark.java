package org.duoattention.examples.benchmarks;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Tensor;
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

/** One linear layer: a product with a vector for one token, with a matrix for many. Each call takes another weight. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(
        value = 1,
        jvmArgsAppend = {"--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"})
public class LinearBenchmark {
    /** So many weights that the caches hold none of them when its turn comes. */
    private static final int WEIGHTS = 12;

    /** Storage of the weight. */
    @Param({"f16", "int8", "int4"})
    String weights = "";

    /** Rows of the input. */
    @Param({"1", "512"})
    int tokens;

    /** Outputs x inputs. */
    @Param({"8192x2048", "2048x8192"})
    String shape = "";

    private final List<Projection> projections = new ArrayList<>();
    private Rig rig;
    private Tensor x;
    private int turn;

    /** Makes the weights. */
    @Setup
    public void open() {
        String[] extents = shape.split("x", -1);
        int out = Integer.parseInt(extents[0]);
        int in = Integer.parseInt(extents[1]);
        rig = Rig.open("cpu", Map.of());
        x = rig.activations(tokens, in);
        Tensor y = rig.activations(tokens, out);
        for (int i = 0; i < WEIGHTS; i++) {
            projections.add(new Projection(rig.weight(Rig.weights(weights), out, in), Optional.empty(), y));
        }
    }

    /** The layer. */
    @Benchmark
    public void linear() {
        rig.stream().linear(x, projections.get(turn++ % WEIGHTS));
        rig.stream().synchronize();
    }

    /** Releases everything. */
    @TearDown
    public void close() {
        projections.clear();
        rig.close();
    }
}

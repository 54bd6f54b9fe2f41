package org.duoattention.examples.cli.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import org.duoattention.examples.cli.machine.PeakFlops;
import org.duoattention.examples.cli.machine.ReadStream;
import org.duoattention.examples.cli.machine.Team;

/**
 * Measures contenders in turn, so that a machine whose speed changes changes it for all of them. Before every measurement the
 * machine's own limits are measured; shares of the bound are of those.
 */
public final class Benchmark {
    /** Limits are measured so often before the first use, because the compiler needs some runs. */
    private static final int WARM_UP_RUNS = 20;
    /** A setting of a peer that takes so many times as long as its best one is not measured again. */
    private static final double HOPELESS = 2;

    /**
     * Everything that was measured.
     *
     * @param readBandwidth median read bandwidth in bytes per second
     * @param peakFlops median speed of multiply-add
     */
    public record Result(double readBandwidth, double peakFlops, List<Row> rows) {
        /** Copies the rows. */
        public Result {
            rows = List.copyOf(rows);
        }
    }

    private final List<? extends Contender> contenders;
    private final int repeats;
    private final int tokens;
    private final Consumer<String> log;
    private final Runnable checkpoint;
    private final List<Double> bandwidths = new ArrayList<>();
    private final List<Double> peaks = new ArrayList<>();
    private final List<Row> rows = new ArrayList<>();

    /**
     * A benchmark.
     *
     * @param contenders owned by the caller
     * @param repeats measurements per contender, depth and phase
     * @param tokens tokens per decode measurement
     * @param log told what was measured
     * @param checkpoint called between measurements; may throw to end it
     */
    public Benchmark(
            List<? extends Contender> contenders, int repeats, int tokens, Consumer<String> log, Runnable checkpoint) {
        this.contenders = List.copyOf(contenders);
        this.repeats = repeats;
        this.tokens = tokens;
        this.log = log;
        this.checkpoint = checkpoint;
    }

    /** Runs the prefills, then decodes at the depths, which ascend. */
    public Result run(List<Span> prefills, List<Integer> depths) {
        try (Team team = new Team(Runtime.getRuntime().availableProcessors());
                ReadStream stream = new ReadStream(team)) {
            PeakFlops peak = new PeakFlops(team);
            for (int i = 0; i < WARM_UP_RUNS; i++) {
                stream.measure();
                peak.measure();
            }
            contenders.forEach(contender -> {
                checkpoint.run();
                log.accept("warming up: " + contender.identity());
                contender.warmUp();
            });
            for (Span span : prefills) {
                prefill(span, stream, peak);
            }
            for (int depth : depths) {
                decode(depth, stream, peak);
            }
        }
        return new Result(median(bandwidths), median(peaks), rows);
    }

    private void prefill(Span span, ReadStream stream, PeakFlops peak) {
        List<Samples> all = taking(span.end());
        interleave(
                all,
                stream,
                peak,
                samples -> samples.add(samples.contender.prefill(span), samples.contender.prefillWork(span)));
        for (Samples samples : all) {
            report(samples.row(Row.PREFILL, span.end(), span.from(), span.tokens(), span.tokens()));
        }
    }

    private void decode(int depth, ReadStream stream, PeakFlops peak) {
        List<Samples> all = taking(depth);
        for (Samples samples : all) {
            checkpoint.run();
            samples.contender.moveTo(depth);
            samples.contender.decode(Math.min(tokens, 8));
        }
        interleave(
                all,
                stream,
                peak,
                samples -> samples.add(samples.contender.decode(tokens), samples.contender.decodeWork(depth)));
        for (Samples samples : all) {
            report(samples.row(Row.DECODE, depth, depth, tokens, 1));
        }
    }

    private void interleave(List<Samples> all, ReadStream stream, PeakFlops peak, Consumer<Samples> measurement) {
        for (int repeat = 0; repeat < repeats; repeat++) {
            for (Samples samples : all) {
                if (repeat > 0 && samples.isHopeless(all)) {
                    continue;
                }
                samples.limits(stream, peak);
                measurement.accept(samples);
            }
        }
    }

    private List<Samples> taking(int depth) {
        return contenders.stream()
                .filter(contender -> contender.reaches(depth))
                .map(Samples::new)
                .toList();
    }

    private void report(Row row) {
        rows.add(row);
        log.accept(String.format(
                Locale.ROOT,
                "%s %d%s: %s: %.2f tokens/s, %.1f GB/s, %.2f of the bound",
                row.phase(),
                row.depth(),
                row.from() > 0 && row.phase().equals(Row.PREFILL) ? " from " + row.from() : "",
                row.identity(),
                row.tokensPerSecond(),
                row.bytesPerSecond() / 1e9,
                row.boundShare()));
    }

    /** The measurements of one contender in one phase. */
    private final class Samples {
        private final Contender contender;
        private final List<Double> seconds = new ArrayList<>();
        private final List<Double> rates = new ArrayList<>();
        private final List<Double> shares = new ArrayList<>();
        private double bandwidth;
        private double flops;

        Samples(Contender contender) {
            this.contender = contender;
        }

        /** Whether another setting of the same engine makes this one not worth the time: minutes each at depth. */
        boolean isHopeless(List<Samples> all) {
            Contender.Identity own = contender.identity();
            return contender.onlyBestSettingCounts()
                    && all.stream()
                            .filter(other -> other.contender.identity().engine().equals(own.engine()))
                            .anyMatch(other -> median(seconds) > HOPELESS * median(other.seconds));
        }

        void limits(ReadStream stream, PeakFlops peak) {
            checkpoint.run();
            bandwidth = Math.max(stream.measure(), stream.measure());
            flops = Math.max(peak.measure(), peak.measure());
            bandwidths.add(bandwidth);
            peaks.add(flops);
        }

        void add(double time, Work work) {
            seconds.add(time);
            rates.add(work.bytes() / time);
            shares.add(work.seconds(bandwidth, flops) / time);
        }

        /**
         * The result.
         *
         * @param perSample tokens that one measured time is of
         */
        Row row(String phase, int depth, int from, int count, int perSample) {
            return new Row(
                    contender.identity(),
                    phase,
                    depth,
                    from,
                    count,
                    perSample / median(seconds),
                    median(rates),
                    median(shares),
                    contender.weightBytes(),
                    contender.kvBytes(phase.equals(Row.DECODE) ? depth + count : depth));
        }
    }

    /** The middle of the values, or the mean of the two middle ones. */
    public static double median(List<Double> values) {
        double[] sorted = values.stream().mapToDouble(Double::doubleValue).toArray();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}

package org.duoattention.examples.cli.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class BenchmarkTest {
    private static final int REPEATS = 3;

    @Test
    void aSlowSettingIsRepeatedOnlyWhereEverySettingCounts() {
        List<Fixed> settings =
                List.of(new Fixed("peer", 1, true), new Fixed("peer", 1.9, true), new Fixed("peer", 2.1, true));
        assertThat(prefills(settings)).containsExactly(REPEATS, REPEATS, 1);

        List<Fixed> kinds = List.of(new Fixed("other", 1, false), new Fixed("other", 9, false));
        assertThat(prefills(kinds)).containsExactly(REPEATS, REPEATS);

        List<Fixed> engines = List.of(new Fixed("duo", 0.1, false), new Fixed("peer", 1, true));
        assertThat(prefills(engines)).containsExactly(REPEATS, REPEATS);
    }

    private static List<Integer> prefills(List<Fixed> contenders) {
        new Benchmark(contenders, REPEATS, 1, message -> {}, () -> {}).run(List.of(new Span(0, 8)), List.of());
        return contenders.stream().map(contender -> contender.prefills).toList();
    }

    /** Says that it took a fixed time. */
    private static final class Fixed implements Contender {
        private final String engine;
        private final double seconds;
        private final boolean onlyBest;
        private int prefills;

        Fixed(String engine, double seconds, boolean onlyBest) {
            this.engine = engine;
            this.seconds = seconds;
            this.onlyBest = onlyBest;
        }

        @Override
        public Identity identity() {
            return new Identity(engine, "f16", "f16", "full", 1, "takes " + seconds);
        }

        @Override
        public boolean onlyBestSettingCounts() {
            return onlyBest;
        }

        @Override
        public double prefill(Span span) {
            prefills++;
            return seconds;
        }

        @Override
        public void moveTo(int depth) {}

        @Override
        public double decode(int tokens) {
            return seconds;
        }

        @Override
        public Work prefillWork(Span span) {
            return new Work(1, 1);
        }

        @Override
        public Work decodeWork(int depth) {
            return new Work(1, 1);
        }

        @Override
        public long weightBytes() {
            return 1;
        }

        @Override
        public long kvBytes(int context) {
            return 1;
        }

        @Override
        public void close() {}
    }
}

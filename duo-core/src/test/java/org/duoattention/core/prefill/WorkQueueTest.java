package org.duoattention.core.prefill;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

/** The order of work, without a clock: what waits, and for how many chunks. */
class WorkQueueTest {
    private final WorkQueue<String> queue = new WorkQueue<>();

    @Test
    void servesInOrderWhenThereIsOneKindOnly() {
        queue.addDecode("a");
        queue.addDecode("b");
        assertThat(drain()).containsExactly("a", "b");
        queue.addPrefill("c");
        queue.addPrefill("d");
        assertThat(drain()).containsExactly("c", "d");
        assertThat(queue.isEmpty()).isTrue();
    }

    @Test
    void aDecodeStepThatComesDuringAChunkIsServedBeforeTheNextChunk() {
        queue.addPrefill("chunk 1");
        assertThat(queue.next()).contains("chunk 1");
        queue.addPrefill("chunk 2");
        queue.addDecode("step");
        assertThat(queue.next()).contains("step");
        assertThat(queue.next()).contains("chunk 2");
    }

    @Test
    void decodingSessionsDoNotStarveAPrefill() {
        queue.addPrefill("chunk");
        queue.addDecode("a");
        queue.addDecode("b");
        assertThat(queue.next()).contains("a");
        queue.addDecode("a again");
        assertThat(queue.next()).contains("b");
        queue.addDecode("b again");
        assertThat(queue.next()).contains("chunk");
        assertThat(drain()).containsExactly("a again", "b again");
    }

    @Test
    void prefillsTakeTurns() {
        queue.addPrefill("x1");
        queue.addPrefill("y1");
        assertThat(queue.next()).contains("x1");
        queue.addPrefill("x2");
        assertThat(queue.next()).contains("y1");
        queue.addPrefill("y2");
        assertThat(drain()).containsExactly("x2", "y2");
    }

    @RepeatedTest(50)
    void noDecodeStepWaitsForMoreThanOneChunk(RepetitionInfo repetition) {
        Random random = new Random(repetition.getCurrentRepetition());
        List<Integer> chunksSeenAtArrival = new ArrayList<>();
        int chunksRun = 0;
        int served = 0;
        for (int i = 0; i < 2_000; i++) {
            switch (random.nextInt(3)) {
                case 0 -> {
                    queue.addDecode("decode");
                    chunksSeenAtArrival.add(chunksRun);
                }
                case 1 -> queue.addPrefill("prefill");
                default -> {
                    Optional<String> next = queue.next();
                    if (next.equals(Optional.of("prefill"))) {
                        chunksRun++;
                    } else if (next.isPresent()) {
                        assertThat(chunksRun - chunksSeenAtArrival.get(served++))
                                .isLessThanOrEqualTo(1);
                    }
                }
            }
        }
        assertThat(served).isPositive();
        assertThat(chunksRun).isPositive();
    }

    private List<String> drain() {
        List<String> order = new ArrayList<>();
        while (!queue.isEmpty()) {
            queue.next().ifPresent(order::add);
        }
        return order;
    }
}

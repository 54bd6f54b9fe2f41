package org.duoattention.core.quantize;

import java.util.Arrays;
import java.util.Random;
import java.util.function.IntConsumer;
import org.duoattention.core.sample.Sampling;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionEvent;

/**
 * Text that a model writes itself, to calibrate its quantised weights without a text at hand (self-calibration, arXiv
 * 2410.17170): sequences sampled from its own distribution, each of the length of a window of {@link Calibration}.
 */
public final class OwnText {
    private OwnText() {}

    /**
     * Samples tokens; equal calls give equal tokens. A sequence starts with the token that starts texts, or with any token
     * if the model has none.
     *
     * @param model stays open
     * @param tokens how many, all sequences together
     * @param progress told the tokens that were sampled since it was told last
     * @return ids
     * @throws CancelledException when the thread is interrupted
     */
    public static int[] sample(Model model, int tokens, IntConsumer progress) {
        int[] ids = new int[tokens];
        Random random = new Random(0);
        for (int begin = 0; begin < tokens; begin += Calibration.WINDOW) {
            int end = Math.min(tokens, begin + Calibration.WINDOW);
            ids[begin] = model.config()
                    .bosTokenId()
                    .orElse(random.nextInt(model.shape().vocabSize()));
            fill(model, ids, begin + 1, end, begin);
            progress.accept(end - begin);
        }
        return ids;
    }

    private static void fill(Model model, int[] ids, int begin, int end, long seed) {
        if (begin == end) {
            return;
        }
        try (Session session =
                model.session().policy("full").maxContext(Calibration.WINDOW).open()) {
            session.prefill(Arrays.copyOfRange(ids, begin - 1, begin));
            GenerationRequest request = GenerationRequest.builder()
                    .maxNewTokens(end - begin)
                    .sampling(Sampling.temperature(1, seed))
                    .ignoreEndTokens()
                    .build();
            int at = begin;
            for (SessionEvent event : session.generate(request)) {
                if (event instanceof SessionEvent.Token token) {
                    ids[at++] = token.id();
                }
            }
            if (at < end) {
                throw new CancelledException(at, ids.length);
            }
        }
    }
}

package org.duoattention.identify.score;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.identify.data.PasskeySequence;

/** Runs the first sequences of the data through a model and keeps count of how far that is. */
final class PasskeySamples {
    private PasskeySamples() {}

    /** Looks at the attention of one sequence. */
    interface Look {
        FullPass.Observer at(PasskeySequence sequence);
    }

    static void run(ScoringContext context, FullPass pass, int sequences, Look look, ScoringProgress progress) {
        List<PasskeySequence> samples = new ArrayList<>();
        long total = 0;
        for (int i = 0; i < sequences; i++) {
            PasskeySequence sample = context.data().passkeys(i);
            samples.add(sample);
            total += (long) sample.sequence().ids().length * context.shape().layers();
        }
        long all = total;
        long[] done = {0};
        for (PasskeySequence sample : samples) {
            pass.run(sample.sequence().ids(), look.at(sample), count -> {
                done[0] += count;
                progress.at(done[0], all);
            });
        }
    }
}

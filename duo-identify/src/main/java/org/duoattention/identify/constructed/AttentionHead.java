package org.duoattention.identify.constructed;

import static org.duoattention.identify.constructed.ResidualStream.BOS;
import static org.duoattention.identify.constructed.ResidualStream.CONSTANT;
import static org.duoattention.identify.constructed.ResidualStream.FEATURE;
import static org.duoattention.identify.constructed.ResidualStream.UNIT;
import static org.duoattention.identify.constructed.RotaryKernel.HEAD_DIM;

import java.util.Random;

/**
 * The projections of one head in the making. Scores are given in nats, as they enter the softmax; a score s is put into
 * query and key as {@code sqrt(s sqrt(headDim))} each, divided by what RMSNorm makes of the feature that is read.
 */
final class AttentionHead {
    /** Score of the BOS where a head should see nothing. */
    private static final double IDLE = 40;

    private static final double WORD_SCORE = 60;
    private static final double SINK_SCORE = 136;

    /** Less than ordinal and word make together. */
    private static final double DECOY_SINK_SCORE = 100;

    /** Rows are the head's dimensions, columns those of the residual stream. */
    final float[][] query = new float[HEAD_DIM][ResidualStream.WIDTH];

    final float[][] key = new float[HEAD_DIM][ResidualStream.WIDTH];
    final float[][] value = new float[HEAD_DIM][ResidualStream.WIDTH];

    /** Rows are the residual stream's dimensions, columns the head's. */
    final float[][] output = new float[ResidualStream.WIDTH][HEAD_DIM];

    private int channels;
    private int values;

    /**
     * Attends to the token {@code offset} places back. Where there is none, at the start of the text, it attends to the
     * BOS, which has no position in its key and scores half the kernel's gap less than a hit.
     */
    static AttentionHead offset(int offset) {
        AttentionHead head = new AttentionHead();
        head.position(RotaryKernel.POINT, offset, CONSTANT, UNIT);
        head.match(CONSTANT, UNIT, BOS, UNIT, RotaryKernel.POINT.score(0) - 8);
        return head;
    }

    /**
     * Copies marker features {@code from} .. {@code from+count-1}, seen {@code offset} tokens back, to their new
     * places.
     */
    AttentionHead shiftingMarkers(int offset, int count) {
        for (int k = 0; k < count; k++) {
            copy(ResidualStream.MARKER + k, ResidualStream.MARKER + offset + k, 1);
        }
        return this;
    }

    /**
     * Attends to the nearest ordinal when it is at most as far as that of a question can be from a word of its answer,
     * and to the BOS otherwise. Only ordinals have a position in their keys, so all other tokens score 0.
     */
    static AttentionHead nearestOrdinal() {
        AttentionHead head = new AttentionHead();
        for (int i = 0; i < ResidualStream.ORDINALS; i++) {
            head.position(RotaryKernel.NEAREST, 0, ResidualStream.ORDINAL + i, FEATURE);
            head.copy(ResidualStream.ORDINAL + i, ResidualStream.NEAREST_ORDINAL + i, 1);
        }
        int channel = head.channels++;
        double shift = IDLE + 10 - RotaryKernel.NEAREST.score(ConstructedModel.QUESTION_REACH);
        for (int i = 0; i < ResidualStream.ORDINALS; i++) {
            head.put(channel, CONSTANT, UNIT, ResidualStream.ORDINAL + i, FEATURE, shift);
        }
        head.match(CONSTANT, UNIT, BOS, UNIT, IDLE);
        return head;
    }

    /**
     * Finds and copies the word that follows: for each k, a query whose marker is k places back scores 60 for keys
     * whose marker is k + 1 back, all queries score 60 for keys with their own nearest ordinal and 60 for passkey words
     * (30 for what ends a passkey). The right word thus scores 180, its end 150, what agrees in two of three 120 at
     * most, and the BOS 136.
     */
    static AttentionHead retrieval(int... markers) {
        AttentionHead head = wordsAfterTheOrdinal(SINK_SCORE);
        for (int k : markers) {
            head.match(ResidualStream.MARKER + k, FEATURE, ResidualStream.MARKER + k + 1, FEATURE, WORD_SCORE);
        }
        for (int i = 0; i <= ResidualStream.WORDS; i++) {
            head.copy(ResidualStream.WORD + i, ResidualStream.ANSWER + i, 2 * ResidualStream.AMPLITUDE);
        }
        return head;
    }

    private static AttentionHead wordsAfterTheOrdinal(double sinkScore) {
        AttentionHead head = new AttentionHead();
        for (int i = 0; i < ResidualStream.ORDINALS; i++) {
            int ordinal = ResidualStream.NEAREST_ORDINAL + i;
            head.match(ordinal, FEATURE, ordinal, FEATURE, WORD_SCORE);
        }
        int channel = head.channels++;
        for (int i = 0; i < ResidualStream.WORDS; i++) {
            head.put(channel, CONSTANT, UNIT, ResidualStream.WORD + i, FEATURE, WORD_SCORE);
        }
        head.put(channel, CONSTANT, UNIT, ResidualStream.WORD + ResidualStream.END, 2 * FEATURE, WORD_SCORE);
        head.match(CONSTANT, UNIT, BOS, UNIT, sinkScore);
        return head;
    }

    /**
     * A head that mixes the random features of a token a few places back into those of this one: work that matters to
     * nobody.
     */
    static AttentionHead local(Random random) {
        return offset(1 + random.nextInt(6)).mixing(random);
    }

    /**
     * A head that attends to all words of the passkey that is asked for, however far away, and does no more with them
     * than {@link #local}: its attention is that of a retrieval head, and nothing is lost without it. A word scores 120,
     * the BOS 100.
     */
    static AttentionHead decoy(Random random) {
        return wordsAfterTheOrdinal(DECOY_SINK_SCORE).mixing(random);
    }

    private AttentionHead mixing(Random random) {
        for (int d = 0; d < HEAD_DIM; d++) {
            for (int r = ResidualStream.HAYSTACK; r < ResidualStream.WIDTH; r++) {
                value[d][r] = (float) (0.2 * random.nextGaussian());
                output[r][d] = (float) (0.05 * random.nextGaussian());
            }
        }
        return this;
    }

    private void position(RotaryKernel kernel, int offset, int keySource, double keySize) {
        for (int pair = 0; pair < kernel.pairs(); pair++) {
            double length = Math.sqrt(kernel.gain(pair) * Math.sqrt(HEAD_DIM));
            double angle = -RotaryKernel.frequency(pair) * offset;
            key[pair][keySource] = (float) (length / keySize);
            query[pair][CONSTANT] = (float) (length * StrictMath.cos(angle) / UNIT);
            query[pair + HEAD_DIM / 2][CONSTANT] = (float) (length * StrictMath.sin(angle) / UNIT);
        }
    }

    private void match(int querySource, double querySize, int keySource, double keySize, double score) {
        put(channels++, querySource, querySize, keySource, keySize, score);
    }

    /** Channel 0 lies in the pair that turns most slowly, two channels to a pair. */
    private void put(int channel, int querySource, double querySize, int keySource, double keySize, double score) {
        int dimension = HEAD_DIM / 2 - 1 - channel / 2 + channel % 2 * (HEAD_DIM / 2);
        double length = Math.sqrt(Math.abs(score) * Math.sqrt(HEAD_DIM));
        query[dimension][querySource] = (float) (Math.signum(score) * length / querySize);
        key[dimension][keySource] = (float) (length / keySize);
    }

    private void copy(int source, int target, double size) {
        int dimension = values++;
        value[dimension][source] = (float) (1 / FEATURE);
        output[target][dimension] = (float) size;
    }
}

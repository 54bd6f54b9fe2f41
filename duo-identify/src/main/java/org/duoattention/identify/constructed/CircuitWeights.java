package org.duoattention.identify.constructed;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.identify.task.PasskeyWording;
import org.duoattention.identify.text.Seeds;

/** All weights of a {@link ConstructedModel} by their Hugging Face names. */
final class CircuitWeights {
    private static final int LAYERS = 3;
    private static final int HEADS = 4;
    private static final int INTERMEDIATE = 64;
    private static final int ROW_MULTIPLE = 64;

    /**
     * Logit per unit of a copied word after the final norm, and of the constant for the word that says nothing was
     * found.
     */
    private static final float ANSWER_LOGIT = 2f;

    private static final float NOTHING_LOGIT = 1.2f;

    /** Logit per unit of the last count: after that many words the answer is over. */
    private static final float FULL_LOGIT = 40f;

    private final Map<String, float[][]> tensors = new TreeMap<>();
    private final List<HeadSet> retrieval = new ArrayList<>();
    private final List<HeadSet> decoys = new ArrayList<>();
    private final ConstructedVocabulary vocabulary;
    private final Random random;

    /**
     * Computes them.
     *
     * @param decoys heads that look at passkeys in vain, at most {@link ConstructedModel#MAX_DECOYS}
     */
    CircuitWeights(ConstructedVocabulary vocabulary, long seed, int decoys) {
        this.vocabulary = vocabulary;
        this.random = Seeds.random(seed, LAYERS, HEADS);
        embed();
        layer(
                0,
                List.of(
                        AttentionHead.offset(1).shiftingMarkers(1, 1),
                        AttentionHead.offset(2).shiftingMarkers(2, 1),
                        AttentionHead.nearestOrdinal(),
                        AttentionHead.local(random)),
                0,
                0);
        layer(
                1,
                List.of(
                        AttentionHead.retrieval(0, 1),
                        AttentionHead.offset(3).shiftingMarkers(3, 3),
                        AttentionHead.offset(6).shiftingMarkers(6, 3),
                        idle(decoys > 2)),
                1,
                Math.max(decoys - 2, 0));
        layer(
                2,
                List.of(
                        AttentionHead.retrieval(2, 4, 6),
                        AttentionHead.retrieval(3, 5, 7),
                        idle(decoys > 1),
                        idle(decoys > 0)),
                2,
                Math.min(decoys, 2));
        readOut();
    }

    /** Rows by name; a vector is a single row. */
    Map<String, float[][]> tensors() {
        return tensors;
    }

    /** The retrieval heads. */
    HeadMask mask() {
        return HeadMask.of(HEADS, retrieval);
    }

    /** The heads that look at passkeys in vain. */
    HeadMask decoys() {
        return HeadMask.of(HEADS, decoys);
    }

    ModelShape shape() {
        return new ModelShape(LAYERS, ResidualStream.WIDTH, HEADS, HEADS, RotaryKernel.HEAD_DIM, INTERMEDIATE, rows());
    }

    private int rows() {
        return Math.ceilDiv(vocabulary.size(), ROW_MULTIPLE) * ROW_MULTIPLE;
    }

    private void embed() {
        float[][] embedding = new float[rows()][ResidualStream.WIDTH];
        for (int id = 0; id < vocabulary.size(); id++) {
            if (id == vocabulary.bos()) {
                embedding[id][ResidualStream.BOS] = (float) ResidualStream.AMPLITUDE;
            } else {
                embedding[id][ResidualStream.CONSTANT] = (float) ResidualStream.AMPLITUDE;
                noise(
                        embedding[id],
                        ResidualStream.HAYSTACK,
                        1 / Math.sqrt(ResidualStream.WIDTH - ResidualStream.HAYSTACK));
            }
        }
        embedding[vocabulary.marker()][ResidualStream.MARKER] = 1;
        for (int i = 0; i < ResidualStream.ORDINALS; i++) {
            embedding[vocabulary.id(" " + PasskeyWording.ORDINALS.get(i))][ResidualStream.ORDINAL + i] = 1;
        }
        for (int i = 0; i < ResidualStream.WORDS; i++) {
            embedding[vocabulary.id(" " + PasskeyWording.WORDS.get(i))][ResidualStream.WORD + i] = 1;
        }
        for (String end : List.of("\n", ".")) {
            embedding[vocabulary.id(end)][ResidualStream.WORD + ResidualStream.END] = 1;
        }
        tensors.put("model.embed_tokens.weight", embedding);
    }

    private void readOut() {
        float[][] logits = new float[rows()][ResidualStream.WIDTH];
        for (int id = 0; id < vocabulary.size(); id++) {
            noise(logits[id], ResidualStream.HAYSTACK, 0.05);
        }
        for (int i = 0; i < ResidualStream.WORDS; i++) {
            logits[vocabulary.id(" " + PasskeyWording.WORDS.get(i))][ResidualStream.ANSWER + i] = ANSWER_LOGIT;
        }
        logits[vocabulary.eos()][ResidualStream.ANSWER + ResidualStream.END] = ANSWER_LOGIT;
        logits[vocabulary.eos()][ResidualStream.MARKER + ConstructedModel.MAX_WORDS] = FULL_LOGIT;
        logits[vocabulary.id(ConstructedVocabulary.NOTHING)][ResidualStream.CONSTANT] = NOTHING_LOGIT;
        tensors.put("lm_head.weight", logits);
        tensors.put("model.norm.weight", ones());
    }

    private AttentionHead idle(boolean decoy) {
        return decoy ? AttentionHead.decoy(random) : AttentionHead.local(random);
    }

    /** Puts the heads, the first few retrieval heads and the last few decoys, in an order that the seed chooses. */
    private void layer(int layer, List<AttentionHead> heads, int retrievalHeads, int decoyHeads) {
        List<Integer> order = new ArrayList<>(IntStream.range(0, HEADS).boxed().toList());
        Collections.shuffle(order, random);
        retrieval.add(places(order, 0, retrievalHeads));
        decoys.add(places(order, HEADS - decoyHeads, HEADS));
        List<AttentionHead> placed = order.stream().map(heads::get).toList();
        String prefix = "model.layers." + layer + ".";
        tensors.put(
                prefix + "self_attn.q_proj.weight",
                stack(placed.stream().map(head -> head.query).toList()));
        tensors.put(
                prefix + "self_attn.k_proj.weight",
                stack(placed.stream().map(head -> head.key).toList()));
        tensors.put(
                prefix + "self_attn.v_proj.weight",
                stack(placed.stream().map(head -> head.value).toList()));
        tensors.put(
                prefix + "self_attn.o_proj.weight",
                join(placed.stream().map(head -> head.output).toList()));
        tensors.put(prefix + "input_layernorm.weight", ones());
        tensors.put(prefix + "post_attention_layernorm.weight", ones());
        tensors.put(prefix + "mlp.gate_proj.weight", fromHaystack());
        tensors.put(prefix + "mlp.up_proj.weight", fromHaystack());
        float[][] down = new float[ResidualStream.WIDTH][INTERMEDIATE];
        for (int i = ResidualStream.HAYSTACK; i < ResidualStream.WIDTH; i++) {
            noise(down[i], 0, 0.1);
        }
        tensors.put(prefix + "mlp.down_proj.weight", down);
    }

    private static HeadSet places(List<Integer> order, int from, int to) {
        return HeadSet.of(IntStream.range(0, HEADS)
                .filter(place -> order.get(place) >= from && order.get(place) < to)
                .toArray());
    }

    private float[][] fromHaystack() {
        float[][] rows = new float[INTERMEDIATE][ResidualStream.WIDTH];
        for (float[] row : rows) {
            noise(row, ResidualStream.HAYSTACK, 0.3);
        }
        return rows;
    }

    private void noise(float[] row, int from, double deviation) {
        for (int i = from; i < row.length; i++) {
            row[i] = (float) (deviation * random.nextGaussian());
        }
    }

    private static float[][] ones() {
        float[][] ones = new float[1][ResidualStream.WIDTH];
        Arrays.fill(ones[0], 1);
        return ones;
    }

    private static float[][] stack(List<float[][]> blocks) {
        return blocks.stream().flatMap(Arrays::stream).toArray(float[][]::new);
    }

    private static float[][] join(List<float[][]> blocks) {
        float[][] joined = new float[ResidualStream.WIDTH][HEADS * RotaryKernel.HEAD_DIM];
        for (int head = 0; head < HEADS; head++) {
            for (int row = 0; row < ResidualStream.WIDTH; row++) {
                System.arraycopy(
                        blocks.get(head)[row], 0, joined[row], head * RotaryKernel.HEAD_DIM, RotaryKernel.HEAD_DIM);
            }
        }
        return joined;
    }
}

package org.duoattention.examples.cli.synthetic;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;

/** Retrieval heads spread over the layers as evenly as they go, for shapes without weights: what a real pattern costs. */
public final class EvenHeads {
    private EvenHeads() {}

    /**
     * A mask with a share of retrieval heads.
     *
     * @param share 0 to 1; rounded to the nearest whole number of heads, halves up
     */
    public static HeadMask mask(ModelShape shape, double share) {
        long wanted = Math.round(share * shape.layers() * shape.kvHeads());
        List<HeadSet> layers = new ArrayList<>();
        for (int layer = 0; layer < shape.layers(); layer++) {
            long before = wanted * layer / shape.layers();
            long after = wanted * (layer + 1) / shape.layers();
            layers.add(HeadSet.of(IntStream.range(0, (int) (after - before)).toArray()));
        }
        return HeadMask.of(shape.kvHeads(), layers);
    }
}

package org.duoattention.identify.score;

import java.util.LinkedHashMap;
import java.util.Map;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.session.Model;
import org.duoattention.identify.data.MultiPasskeyData;
import org.duoattention.identify.distill.FrozenModel;

/**
 * What heads are scored on.
 *
 * @param model the model; stays open
 * @param data sequences with passkeys
 * @param sinks first tokens that a streaming head keeps; at least 0
 * @param recent last tokens that a streaming head keeps; at least 1
 */
public record ScoringContext(FrozenModel model, MultiPasskeyData data, int sinks, int recent) {
    /** The setting of a pattern that says which scorer found it. */
    public static final String METHOD = "method";

    /** An open model, which must stay open. */
    public static ScoringContext of(Model model, MultiPasskeyData data, int sinks, int recent) {
        return new ScoringContext(FrozenModel.of(model), data, sinks, recent);
    }

    /** The model's extents. */
    public ModelShape shape() {
        return model.config().shape();
    }

    /**
     * The pattern of a scorer.
     *
     * @param scores layers x KV heads, 0 to 1
     * @param settings what else belongs into the pattern's config.json
     */
    HeadPattern pattern(HeadScorer scorer, double[][] scores, Map<String, ?> settings) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put(METHOD, scorer.name());
        all.putAll(settings);
        return new HeadPattern(scores, sinks, recent, all);
    }
}

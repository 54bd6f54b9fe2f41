/** Checkpoints, tokenizer, forward pass, hybrid cache, prefill and sessions. */
module org.duoattention.core {
    requires transitive org.duoattention.api;
    requires org.duoattention.quant;
    requires ai.djl.tokenizers;
    requires com.google.guice;
    requires org.slf4j;
    requires tools.jackson.databind;
    requires static org.jspecify;

    exports org.duoattention.core.head;
    exports org.duoattention.core.json;
    exports org.duoattention.core.load;
    exports org.duoattention.core.model;
    exports org.duoattention.core.tokenizer;
    exports org.duoattention.core;

    provides org.duoattention.api.cache.KVCachePolicy with
            org.duoattention.core.cache.DuoPolicy,
            org.duoattention.core.cache.FullPolicy,
            org.duoattention.core.cache.StreamingPolicy;
    provides org.duoattention.api.head.HeadMaskSource with
            org.duoattention.core.head.AllHeads,
            org.duoattention.core.head.MaskFileHeads,
            org.duoattention.core.head.NoHeads,
            org.duoattention.core.head.PatternHeads;
}

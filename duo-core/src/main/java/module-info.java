import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.head.HeadMaskSource;

/** Checkpoints, tokenizer, forward pass, hybrid cache, prefill and sessions. */
module org.duoattention.core {
    requires transitive org.duoattention.api;
    requires org.duoattention.quant;
    requires ai.djl.tokenizers;
    requires static com.google.guice;
    requires org.slf4j;
    requires tools.jackson.databind;
    requires static org.jspecify;

    exports org.duoattention.core;
    exports org.duoattention.core.cache;
    exports org.duoattention.core.head;
    exports org.duoattention.core.inject;
    exports org.duoattention.core.json;
    exports org.duoattention.core.load;
    exports org.duoattention.core.model;
    exports org.duoattention.core.prefill;
    exports org.duoattention.core.quantize;
    exports org.duoattention.core.sample;
    exports org.duoattention.core.session;
    exports org.duoattention.core.source;
    exports org.duoattention.core.spi;
    exports org.duoattention.core.template;
    exports org.duoattention.core.tokenizer;

    uses AttentionBackend;
    uses HeadMaskSource;
    uses KVCachePolicy;

    provides KVCachePolicy with
            org.duoattention.core.cache.DuoPolicy,
            org.duoattention.core.cache.FullPolicy,
            org.duoattention.core.cache.StreamingPolicy;
    provides HeadMaskSource with
            org.duoattention.core.head.AllHeads,
            org.duoattention.core.head.MaskFileHeads,
            org.duoattention.core.head.NoHeads,
            org.duoattention.core.head.PatternHeads;
}

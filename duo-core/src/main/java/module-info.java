/** Checkpoints, tokenizer, forward pass, hybrid cache, prefill and sessions. */
module org.duoattention.core {
    requires transitive org.duoattention.api;
    requires org.duoattention.quant;
    requires ai.djl.tokenizers;
    requires com.google.guice;
    requires org.slf4j;
    requires tools.jackson.databind;
    requires static org.jspecify;

    exports org.duoattention.core.json;
    exports org.duoattention.core.load;
    exports org.duoattention.core.model;
    exports org.duoattention.core.tokenizer;
    exports org.duoattention.core;
}

/** Numbers as they are stored: quantisation of weights, keys and values, and the writer of safetensors checkpoints. */
module org.duoattention.quant {
    requires transitive org.duoattention.api;
    requires static org.jspecify;

    exports org.duoattention.quant.checkpoint;
    exports org.duoattention.quant.kv;
    exports org.duoattention.quant.weight;
}

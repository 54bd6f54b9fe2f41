/** Reference arithmetic of quantised weights and KV caches, which kernels are tested against. */
module org.duoattention.quant {
    requires transitive org.duoattention.api;
    requires static org.jspecify;

    exports org.duoattention.quant.checkpoint;
}

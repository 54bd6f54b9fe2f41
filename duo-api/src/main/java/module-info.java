/**
 * The contracts of Duo: the service interfaces {@link org.duoattention.api.backend.AttentionBackend}, {@link
 * org.duoattention.api.cache.KVCachePolicy} and {@link org.duoattention.api.head.HeadMaskSource}, and the values they
 * speak in. It depends on the JDK only.
 */
module org.duoattention.api {
    exports org.duoattention.api.backend;
    exports org.duoattention.api.cache;
    exports org.duoattention.api.head;
    exports org.duoattention.api.model;
    exports org.duoattention.api.tensor;
}

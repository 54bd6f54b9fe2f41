/** A cache policy built as an outsider would build it. */
module org.duoattention.examples.policy {
    requires org.duoattention.api;

    provides org.duoattention.api.cache.KVCachePolicy with
            org.duoattention.examples.policy.PyramidPolicy;
}

package org.duoattention.core.cache;

import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.tck.KVCachePolicyContract;
import org.junit.jupiter.api.Nested;

/** The built-in policies keep the contract that plugins keep. */
class PolicyContractsTest {
    @Nested
    class Duo extends KVCachePolicyContract {
        @Override
        protected KVCachePolicy policy() {
            return new DuoPolicy();
        }
    }

    @Nested
    class Full extends KVCachePolicyContract {
        @Override
        protected KVCachePolicy policy() {
            return new FullPolicy();
        }
    }

    @Nested
    class Streaming extends KVCachePolicyContract {
        @Override
        protected KVCachePolicy policy() {
            return new StreamingPolicy();
        }
    }
}

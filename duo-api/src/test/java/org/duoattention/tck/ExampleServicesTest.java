package org.duoattention.tck;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.head.HeadMaskSource;
import org.duoattention.api.model.HeadSet;
import org.junit.jupiter.api.Nested;

/** The contracts of policies and mask sources hold for small honest ones. */
class ExampleServicesTest {
    /** Keeps everything of even layers and every other token, up to a budget, of odd ones. */
    static final class AlternatingPolicy implements KVCachePolicy {
        @Override
        public String name() {
            return "alternating";
        }

        @Override
        public Set<String> options() {
            return Set.of("budget");
        }

        @Override
        public CachePlan plan(PlanContext context) {
            for (String option : context.options().keySet()) {
                if (!options().contains(option)) {
                    throw new IllegalArgumentException("policy alternating has no option " + option);
                }
            }
            int budget = Integer.parseInt(context.options().getOrDefault("budget", "512"));
            List<SlabPlan> slabs = new ArrayList<>();
            for (int layer = 0; layer < context.shape().layers(); layer++) {
                Retention retention = layer % 2 == 0
                        ? new Retention.All()
                        : new Retention.Custom(budget, Optional.empty(), (slots, most) -> new int[0]);
                slabs.add(new SlabPlan(layer, HeadSet.range(context.shape().kvHeads()), retention));
            }
            return new CachePlan(context.shape(), slabs);
        }
    }

    /** Says that the first head of each layer is a retrieval head. */
    static final class FirstHeadSource implements HeadMaskSource {
        @Override
        public String name() {
            return "first-head";
        }

        @Override
        public HeadMask headMask(HeadMaskRequest request) {
            request.options().keySet().forEach(option -> {
                throw new IllegalArgumentException("source first-head has no option " + option);
            });
            List<HeadSet> layers = new ArrayList<>();
            for (int layer = 0; layer < request.shape().layers(); layer++) {
                layers.add(HeadSet.of(0));
            }
            return HeadMask.of(request.shape().kvHeads(), layers);
        }
    }

    @Nested
    class Policy extends KVCachePolicyContract {
        @Override
        protected KVCachePolicy policy() {
            return new AlternatingPolicy();
        }
    }

    @Nested
    class Source extends HeadMaskSourceContract {
        @Override
        protected HeadMaskSource source() {
            return new FirstHeadSource();
        }
    }
}

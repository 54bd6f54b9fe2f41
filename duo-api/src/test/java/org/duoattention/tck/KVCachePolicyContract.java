package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What every cache policy has to pass. Extend it and return the policy from {@link #policy()}. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class KVCachePolicyContract {
    /** The policy; may be a new one each time. */
    protected abstract KVCachePolicy policy();

    /** Options that the policy needs to plan at all; none by default. */
    protected Map<String, String> validOptions() {
        return Map.of();
    }

    private Stream<PlanContext> contexts() {
        List<ModelShape> shapes = List.of(
                new ModelShape(1, 8, 1, 1, 8, 8, 8),
                new ModelShape(4, 64, 16, 4, 16, 128, 100),
                new ModelShape(7, 39, 9, 3, 13, 11, 100),
                new ModelShape(32, 4096, 32, 8, 128, 14336, 128256));
        List<PlanContext> contexts = new ArrayList<>();
        for (ModelShape shape : shapes) {
            for (HeadMask mask : List.of(HeadMask.all(shape), HeadMask.none(shape), mixed(shape))) {
                contexts.add(new PlanContext(shape, mask, 64, 256, 100_000, validOptions()));
                contexts.add(new PlanContext(shape, mask, 0, 1, 1L << 33, validOptions()));
                contexts.add(new PlanContext(shape, mask, 64, 256, 320, validOptions()));
            }
        }
        return contexts.stream();
    }

    private static HeadMask mixed(ModelShape shape) {
        SplittableRandom random = new SplittableRandom(shape.hashCode());
        List<HeadSet> layers = new ArrayList<>();
        for (int layer = 0; layer < shape.layers(); layer++) {
            BitSet heads = new BitSet();
            for (int head = 0; head < shape.kvHeads(); head++) {
                heads.set(head, random.nextBoolean());
            }
            layers.add(HeadSet.of(heads.stream().toArray()));
        }
        return HeadMask.of(shape.kvHeads(), layers);
    }

    @Test
    void theNameIsFitForAnOption() {
        assertThat(policy().name()).matches("[a-z0-9-]+").isEqualTo(policy().name());
        assertThat(policy().options())
                .isNotNull()
                .allSatisfy(option -> assertThat(option).isNotBlank());
        assertThat(validOptions().keySet())
                .as("the options that this test passes")
                .isSubsetOf(policy().options());
    }

    @Test
    void theImplementationCanBeAService() {
        assertThat(policy().getClass().getDeclaredConstructors())
                .as("a policy that is found by ServiceLoader has a constructor without parameters")
                .anySatisfy(constructor ->
                        assertThat(constructor.getParameterCount()).isZero());
    }

    @ParameterizedTest
    @MethodSource("contexts")
    void everyHeadIsPlannedOnce(PlanContext context) {
        CachePlan plan = policy().plan(context);
        assertThat(plan).isNotNull();
        assertThat(plan.shape()).isEqualTo(context.shape());
        int heads = plan.slabs().stream().mapToInt(slab -> slab.heads().size()).sum();
        assertThat(heads).isEqualTo(context.heads().headCount());
        for (int layer = 0; layer < context.shape().layers(); layer++) {
            BitSet seen = new BitSet();
            for (SlabPlan slab : plan.layer(layer)) {
                slab.heads().stream().forEach(seen::set);
            }
            assertThat(seen.cardinality())
                    .as("heads of layer %d", layer)
                    .isEqualTo(context.shape().kvHeads());
        }
    }

    @ParameterizedTest
    @MethodSource("contexts")
    void equalContextsGiveEqualPlans(PlanContext context) throws Exception {
        KVCachePolicy policy = policy();
        CachePlan plan = policy.plan(context);
        policy.plan(new PlanContext(
                context.shape(), HeadMask.none(context.shape()), 3, 5, 77 + context.maxTokens(), validOptions()));
        assertThat(signature(policy.plan(context))).isEqualTo(signature(plan));
        assertThat(signature(policy().plan(context))).isEqualTo(signature(plan));
        List<Object> elsewhere = new ArrayList<>();
        Thread thread = Thread.ofVirtual().start(() -> elsewhere.add(signature(policy.plan(context))));
        thread.join();
        assertThat(elsewhere).containsExactly(signature(plan));
    }

    /** A plan without the identity of selectors, which need not have equals. */
    private static List<Object> signature(CachePlan plan) {
        List<Object> signature = new ArrayList<>();
        for (SlabPlan slab : plan.slabs()) {
            Object retention = slab.retention() instanceof Retention.Custom custom
                    ? List.of(
                            custom.budget(), custom.scores(), custom.selector().getClass())
                    : slab.retention();
            signature.add(List.of(slab.layer(), slab.heads(), retention));
        }
        return signature;
    }

    @ParameterizedTest
    @MethodSource("contexts")
    void budgetsAreSensible(PlanContext context) {
        for (SlabPlan slab : policy().plan(context).slabs()) {
            assertThat(slab.retention().retainedTokens(context.maxTokens()))
                    .as("tokens that %s keeps of %d", slab.retention(), context.maxTokens())
                    .isBetween(1L, context.maxTokens());
        }
    }

    @ParameterizedTest
    @MethodSource("contexts")
    void aLargerContextNeverKeepsLess(PlanContext context) {
        PlanContext larger = new PlanContext(
                context.shape(),
                context.heads(),
                context.sinks(),
                context.recent(),
                context.maxTokens() * 2,
                context.options());
        assertThat(retained(larger)).isGreaterThanOrEqualTo(retained(context));
    }

    private long retained(PlanContext context) {
        return policy().plan(context).slabs().stream()
                .mapToLong(slab -> slab.heads().size() * slab.retention().retainedTokens(context.maxTokens()))
                .sum();
    }

    @Test
    void unknownOptionsAreRefused() {
        ModelShape shape = new ModelShape(4, 64, 16, 4, 16, 128, 100);
        Map<String, String> options = new HashMap<>(validOptions());
        options.put("no-such-option", "1");
        PlanContext context = new PlanContext(shape, HeadMask.all(shape), 4, 8, 1000, options);
        assertThatThrownBy(() -> policy().plan(context))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("no-such-option")
                .message()
                .doesNotContain("\n");
    }
}

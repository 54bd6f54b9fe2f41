package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.head.HeadMaskSource;
import org.duoattention.api.model.ModelShape;
import org.junit.jupiter.api.Test;

/**
 * What every head mask source has to pass. Extend it, return the source and at least one request that it can answer; a
 * source that fits every model returns several shapes.
 */
public abstract class HeadMaskSourceContract {
    /** The source; may be a new one each time. */
    protected abstract HeadMaskSource source();

    /** Requests that the source answers; at least one. */
    protected List<HeadMaskRequest> validRequests() {
        return List.of(
                HeadMaskRequest.of(new ModelShape(1, 8, 1, 1, 8, 8, 8)),
                HeadMaskRequest.of(new ModelShape(4, 64, 16, 4, 16, 128, 100)),
                HeadMaskRequest.of(new ModelShape(32, 4096, 32, 8, 128, 14336, 128256)));
    }

    /** Whether the source has masks of certain shapes only, and must refuse others; false by default. */
    protected boolean refusesOtherShapes() {
        return false;
    }

    @Test
    void theNameIsFitForAnOption() {
        assertThat(source().name()).matches("[a-z0-9-]+").isEqualTo(source().name());
    }

    @Test
    void theImplementationCanBeAService() {
        assertThat(source().getClass().getDeclaredConstructors())
                .as("a source that is found by ServiceLoader has a constructor without parameters")
                .anySatisfy(constructor ->
                        assertThat(constructor.getParameterCount()).isZero());
    }

    @Test
    void theMaskFitsTheModel() {
        assertThat(validRequests()).as("requests that the source answers").isNotEmpty();
        for (HeadMaskRequest request : validRequests()) {
            HeadMask mask = source().headMask(request);
            assertThat(mask).isNotNull();
            assertThat(mask.fits(request.shape()))
                    .as("%s for %s", mask, request.shape())
                    .isTrue();
        }
    }

    @Test
    void equalRequestsGiveEqualMasks() throws Exception {
        HeadMaskSource source = source();
        for (HeadMaskRequest request : validRequests()) {
            HeadMask mask = source.headMask(request);
            validRequests().forEach(source::headMask);
            assertThat(source.headMask(request)).isEqualTo(mask);
            assertThat(source().headMask(request)).isEqualTo(mask);
            HeadMask[] elsewhere = new HeadMask[1];
            Thread thread = Thread.ofVirtual().start(() -> elsewhere[0] = source.headMask(request));
            thread.join();
            assertThat(elsewhere[0]).isEqualTo(mask);
        }
    }

    @Test
    void unknownOptionsAreRefused() {
        for (HeadMaskRequest request : validRequests()) {
            Map<String, String> options = new HashMap<>(request.options());
            options.put("no-such-option", "1");
            HeadMaskRequest unknown = new HeadMaskRequest(request.shape(), request.modelDirectory(), options);
            assertThatThrownBy(() -> source().headMask(unknown))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("no-such-option")
                    .message()
                    .doesNotContain("\n");
        }
    }

    @Test
    void masksOfAnotherShapeAreRefusedWithBothShapes() {
        for (HeadMaskRequest request : validRequests()) {
            ModelShape shape = request.shape();
            ModelShape deeper = new ModelShape(
                    shape.layers() + 117,
                    shape.hiddenSize(),
                    shape.attentionHeads(),
                    shape.kvHeads(),
                    shape.headDim(),
                    shape.intermediateSize(),
                    shape.vocabSize());
            HeadMaskRequest other = new HeadMaskRequest(deeper, request.modelDirectory(), request.options());
            if (refusesOtherShapes()) {
                assertThatThrownBy(() -> source().headMask(other))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining(Integer.toString(shape.layers()))
                        .hasMessageContaining(Integer.toString(deeper.layers()));
            } else {
                assertThat(source().headMask(other).fits(deeper)).isTrue();
            }
        }
    }
}

package org.duoattention.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.OptionalDouble;
import org.duoattention.api.backend.Rope;
import org.duoattention.core.model.RopeScaling.Dynamic;
import org.duoattention.core.model.RopeScaling.Linear;
import org.duoattention.core.model.RopeScaling.Llama3;
import org.duoattention.core.model.RopeScaling.None;
import org.duoattention.core.model.RopeScaling.Yarn;
import org.junit.jupiter.api.Test;

/**
 * The expected frequencies come from an independent transcription of transformers 5.18's {@code modeling_rope_utils} to
 * numpy in 32-bit floats, each operation in the original's order. They are compared to 3e-7, a little more than the one
 * unit in the last place by which two implementations of {@code pow} may differ.
 */
class RopeFrequenciesTest {
    private static final OptionalDouble UNSET = OptionalDouble.empty();

    @Test
    void defaultFrequencies() {
        check(at(10_000, new None(), 8, 1), 1, 1.0, 0.10000000149011612, 0.009999999776482582, 0.0010000000474974513);
        check(
                at(500_000, new None(), 8, 1L << 40),
                1,
                1.0,
                0.03760603070259094,
                0.001414213445968926,
                5.318296462064609e-05);
    }

    @Test
    void linearScaling() {
        check(
                at(10_000, new Linear(4), 8, 1),
                1,
                0.25,
                0.02500000037252903,
                0.0024999999441206455,
                0.0002500000118743628);
    }

    @Test
    void dynamicScalingStartsPastTheOriginalLength() {
        Dynamic dynamic = new Dynamic(2, 512);
        double[] unscaled = {
            1.0,
            0.3162277638912201,
            0.10000000149011612,
            0.03162277862429619,
            0.009999999776482582,
            0.003162277862429619,
            0.0010000000474974513,
            0.0003162277862429619
        };
        check(at(10_000, dynamic, 16, 100), 1, unscaled);
        check(at(10_000, dynamic, 16, 512), 1, unscaled);
        check(
                at(10_000, dynamic, 16, 513),
                1,
                1.0,
                0.3160516917705536,
                0.09988867491483688,
                0.031569983810186386,
                0.00997774675488472,
                0.0031534836161881685,
                0.000996663817204535,
                0.0003149972762912512);
        check(
                at(10_000, dynamic, 16, 2048),
                1,
                1.0,
                0.2394813448190689,
                0.05735132098197937,
                0.013734571635723114,
                0.003289173822849989,
                0.0007876958115957677,
                0.00018863845616579056,
                4.5175391278462484e-05);
        check(
                at(10_000, dynamic, 16, 1_000_000),
                1,
                1.0,
                0.09703028202056885,
                0.009414874948561192,
                0.0009135280852206051,
                8.863987750373781e-05,
                8.600752153142821e-06,
                8.345334094883583e-07,
                8.097501336123969e-08);
    }

    @Test
    void llama3Scaling() {
        check(
                at(500_000, new Llama3(8, 1, 4, 256), 8, 1),
                1,
                1.0,
                0.010538231581449509,
                0.00017677668074611574,
                6.647870577580761e-06);
        check(
                at(500_000, new Llama3(8, 1, 4, 8192), 16, 1),
                1,
                1.0,
                0.193922758102417,
                0.03760603070259094,
                0.00729266507551074,
                0.0005248460220173001,
                3.428102354519069e-05,
                6.647870577580761e-06,
                1.289173155782919e-06);
    }

    @Test
    void llama3ScalingOfLlama32IsSmoothBetweenTheBounds() {
        double[] middle = {
            0.00729266507551074,
            0.0059407297521829605,
            0.00483942124992609,
            0.003942275885492563,
            0.0032114461064338684,
            0.002118406817317009,
            0.0012905480107292533,
            0.000762541254516691,
            0.000429556705057621,
            0.00022276341042015702,
            9.708286233944818e-05,
            2.3890532247605734e-05,
            1.9461638657958247e-05
        };
        Rope rope = at(500_000, new Llama3(32, 1, 4, 8192), 128, 1);
        assertThat(rope.pairs()).isEqualTo(64);
        for (int i = 0; i < middle.length; i++) {
            assertThat(rope.inverseFrequency(24 + i)).isCloseTo(middle[i], within(middle[i] * 3e-7));
        }
    }

    @Test
    void yarnScaling() {
        check(
                at(1_000_000, new Yarn(4, 32_768, UNSET, UNSET, UNSET, 32, 1, true), 16, 1),
                1.138629436111989,
                1.0,
                0.17782793939113617,
                0.03162277862429619,
                0.004217559937387705,
                0.0005000000237487257,
                4.4456985051510856e-05,
                7.905693564680405e-06,
                1.405853367941745e-06);
    }

    @Test
    void yarnScalingWithBothMagnitudes() {
        OptionalDouble one = OptionalDouble.of(1);
        check(
                at(10_000, new Yarn(40, 4096, UNSET, one, OptionalDouble.of(0.707), 32, 1, true), 16, 1),
                1.0857263992561355,
                1.0,
                0.3162277638912201,
                0.10000000149011612,
                0.023914724588394165,
                0.005124999675899744,
                0.0008498621755279601,
                2.499999936844688e-05,
                7.905694474175107e-06);
    }

    @Test
    void yarnScalingWithoutTruncationAndWithItsOwnAttentionFactor() {
        check(
                at(10_000, new Yarn(2.5, 1024, OptionalDouble.of(1.25), UNSET, UNSET, 16, 2, false), 16, 1),
                1.25,
                1.0,
                0.3162277638912201,
                0.10000000149011612,
                0.021285999566316605,
                0.004000000189989805,
                0.0012649111449718475,
                0.00039999998989515007,
                0.0001264911115868017);
    }

    @Test
    void onlyDynamicScalingDependsOnTheLength() {
        RopeFrequencies fixed = new RopeFrequencies(new RopeConfig(10_000, new Linear(2)), 8);
        assertThat(fixed.dependsOnLength()).isFalse();
        assertThat(fixed.at(1)).isSameAs(fixed.at(1_000_000));
        RopeFrequencies dynamic = new RopeFrequencies(new RopeConfig(10_000, new Dynamic(2, 512)), 8);
        assertThat(dynamic.dependsOnLength()).isTrue();
        assertThat(dynamic.at(1)).isSameAs(dynamic.at(512)).isNotEqualTo(dynamic.at(513));
    }

    @Test
    void oddHeadsAreRefused() {
        assertThatThrownBy(() -> new RopeFrequencies(new RopeConfig(10_000, new None()), 7))
                .isInstanceOf(IllegalArgumentException.class);
    }

    private static Rope at(double theta, RopeScaling scaling, int headDim, long length) {
        return new RopeFrequencies(new RopeConfig(theta, scaling), headDim).at(length);
    }

    private static void check(Rope rope, double attentionFactor, double... expected) {
        assertThat(rope.attentionFactor()).isCloseTo(attentionFactor, within(1e-12));
        assertThat(rope.pairs()).isEqualTo(expected.length);
        for (int i = 0; i < expected.length; i++) {
            assertThat(rope.inverseFrequency(i)).isCloseTo(expected[i], within(expected[i] * 3e-7));
        }
    }
}

package org.duoattention.examples.cli;

import java.util.Locale;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.cache.KvType;
import org.duoattention.examples.cli.synthetic.WeightFormat;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads option values that are one of a few names. */
final class Choices {
    private Choices() {}

    /** {@code f32}, {@code f16}, {@code bf16}, {@code int8} or {@code int4}. */
    static final class Kv implements ITypeConverter<KvType> {
        @Override
        public KvType convert(String value) {
            if (!KvType.isValid(value)) {
                throw new TypeConversionException("'" + value + "' is not one of " + KvType.CHOICES);
            }
            return KvType.parse(value);
        }
    }

    /** {@code f32}, {@code f16} or {@code bf16}, of numbers that are stored plainly. */
    static final class Precision implements ITypeConverter<DType> {
        @Override
        public DType convert(String value) {
            return switch (value.toLowerCase(Locale.ROOT)) {
                case "f32" -> DType.F32;
                case "f16" -> DType.F16;
                case "bf16" -> DType.BF16;
                default -> throw new TypeConversionException("'" + value + "' is not one of f32, f16, bf16");
            };
        }
    }

    /** How weights are stored. */
    static final class Weights implements ITypeConverter<WeightFormat> {
        @Override
        public WeightFormat convert(String value) {
            return WeightFormat.of(value)
                    .orElseThrow(() ->
                            new TypeConversionException("'" + value + "' is not one of f32, f16, bf16, int8, int4"));
        }
    }

    /** {@code upstream} or {@code window}. */
    static final class Mode implements ITypeConverter<PrefillMode> {
        @Override
        public PrefillMode convert(String value) {
            return switch (value.toLowerCase(Locale.ROOT)) {
                case "upstream" -> PrefillMode.UPSTREAM;
                case "window" -> PrefillMode.WINDOW;
                default -> throw new TypeConversionException("'" + value + "' is not one of upstream, window");
            };
        }
    }
}

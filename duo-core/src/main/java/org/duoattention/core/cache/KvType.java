package org.duoattention.core.cache;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.DuoException;

/**
 * How people name the storage of keys and values: {@code f32}, {@code f16}, {@code bf16}, {@code int8}, {@code int4}, or
 * a quantised type with its group, {@code int4/32}. Quantised rows have an offset and a scale in F16 per group; a group is
 * a whole head of at most 128 elements, and 64 elements of a larger one, unless it is given.
 */
public sealed interface KvType {
    /** What may be given, for messages. */
    String CHOICES = "f32, f16, bf16, int8 or int4, the last two also with a group such as int8/64";

    /**
     * The name of a format for heads of a model: {@link #parse} of it gives that format.
     *
     * @param format dense, or asymmetric groups with scales in F16
     */
    static String name(BlockFormat format, int headDim) {
        boolean ofDefaultGroup =
                format instanceof BlockFormat.Grouped grouped && grouped.group() == Quantized.defaultGroup(headDim);
        return format instanceof BlockFormat.Grouped grouped && !ofDefaultGroup
                ? grouped.label() + "/" + grouped.group()
                : format.label();
    }

    /**
     * The format for heads of a model.
     *
     * @throws DuoException when the group does not divide a head
     */
    BlockFormat format(int headDim);

    /**
     * Plain elements.
     *
     * @param dtype F32, F16 or BF16
     */
    record Plain(DType dtype) implements KvType {
        @Override
        public BlockFormat format(int headDim) {
            return new BlockFormat.Dense(dtype);
        }
    }

    /**
     * Codes in groups.
     *
     * @param bits 4 or 8
     * @param group elements that share a scale; 0 for the default
     */
    record Quantized(int bits, int group) implements KvType {
        private static final int LONGEST_GROUP = 128;
        private static final int GROUP_OF_LARGE_HEADS = 64;

        private static int defaultGroup(int headDim) {
            return headDim <= LONGEST_GROUP ? headDim : GROUP_OF_LARGE_HEADS;
        }

        @Override
        public BlockFormat format(int headDim) {
            int size = group > 0 ? group : defaultGroup(headDim);
            if (headDim % size != 0 || size % 2 != 0) {
                throw new DuoException("kv int" + bits + " in groups of " + size + " does not fit heads of " + headDim
                        + " elements: a group is even and divides the head; name another one, such as int" + bits
                        + "/32, or choose f16");
            }
            return new BlockFormat.Grouped(bits, size, true, DType.F16);
        }
    }

    /** Whether it is one of {@link #CHOICES}. */
    static boolean isValid(String text) {
        return Names.FORM.matcher(text.toLowerCase(Locale.ROOT)).matches();
    }

    /**
     * Reads a name.
     *
     * @throws DuoException when there is no such type
     */
    static KvType parse(String text) {
        Matcher matcher = Names.FORM.matcher(text.toLowerCase(Locale.ROOT));
        if (!matcher.matches()) {
            throw new DuoException("kv is '" + text + "'; it must be one of " + CHOICES);
        }
        if (matcher.group("plain") != null) {
            return new Plain(DType.valueOf(matcher.group("plain").toUpperCase(Locale.ROOT)));
        }
        String group = matcher.group("group");
        return new Quantized(Integer.parseInt(matcher.group("bits")), group == null ? 0 : Integer.parseInt(group));
    }

    /** The grammar. */
    final class Names {
        private static final Pattern FORM =
                Pattern.compile("(?<plain>f32|f16|bf16)|int(?<bits>[48])(/(?<group>[1-9][0-9]{0,3}))?");

        private Names() {}
    }
}

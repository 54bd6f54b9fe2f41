import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes the classes that multiply queries with keys and probabilities with values as they come from memory, one class per
 * element type: the same loops for 1, 2 and 4 rows, for one stream of memory and for two. The compiler turns vector code
 * into instructions only where every value is a local variable, so the loops are written out; by hand they were 1,200 lines.
 *
 * <p>Two streams, because the processor's prefetching runs ahead within a page of 4 KiB only: with loops that compute as long as
 * memory takes, a single stream waits at the start of each page, and two that lie in different pages do not. Besides, in two streams of
 * keys a broadcast query is used four times instead of twice.
 *
 * <p>Usage: {@code java DirectKernels.java DIRECTORY}, the root of the generated sources.
 */
final class DirectKernels {
    private static final String PACKAGE = "org.duoattention.backend.cpu.vector";

    /** What a vector of stored elements is called and how it becomes one or two vectors of floats. */
    private enum Element {
        F32("float", 4),
        F16("binary16", 2),
        BF16("bfloat16", 2),
        INT8("8-bit codes as {@link CodeLayout} has them", 1),
        INT4("4-bit codes as {@link CodeLayout} has them", 1);

        final String text;
        final int bytes;

        Element(String text, int bytes) {
            this.text = text;
            this.bytes = bytes;
        }

        boolean coded() {
            return this == INT8 || this == INT4;
        }

        String className() {
            return switch (this) {
                case F32 -> "DirectF32";
                case F16 -> "DirectF16";
                case BF16 -> "DirectBf16";
                case INT8 -> "DirectInt8";
                case INT4 -> "DirectInt4";
            };
        }

        /** Statements before a loop. */
        List<String> constants() {
            return this == F16
                    ? List.of(
                            "FloatVector two = FloatVector.broadcast(F, 2);",
                            "FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);")
                    : List.of();
        }

        /** Statements that declare the floats {@code name} of the {@link Simd#L} elements at a byte. */
        List<String> load(String name, String at) {
            return switch (this) {
                case F32 ->
                    List.of("FloatVector %s = FloatVector.fromMemorySegment(F, x, %s, LITTLE_ENDIAN);".formatted(name, at));
                case BF16 ->
                    List.of(
                            "FloatVector %s = ((IntVector) ShortVector.fromMemorySegment(S, x, %s, LITTLE_ENDIAN).convertShape(S2I, I, 0))"
                                    .formatted(name, at),
                            "        .lanewise(LSHL, 16).reinterpretAsFloats();");
                case F16 ->
                    List.of(
                            "IntVector h%s = (IntVector) ShortVector.fromMemorySegment(S, x, %s, LITTLE_ENDIAN).convertShape(S2I, I, 0);"
                                    .formatted(name, at),
                            "IntVector m%s = h%s.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);".formatted(name, name),
                            "IntVector n%s = m%s.reinterpretAsFloats().fma(two, least).reinterpretAsInts();"
                                    .formatted(name, name),
                            "FloatVector %s = m%s.min(n%s).or(h%s.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);"
                                    .formatted(name, name, name, name));
                case INT8 ->
                    List.of("FloatVector %s = (FloatVector) ByteVector.fromMemorySegment(B, x, %s, LITTLE_ENDIAN).convertShape(B2F, F, 0);"
                            .formatted(name, at));
                case INT4 ->
                    List.of("IntVector b%s = (IntVector) ByteVector.fromMemorySegment(B, x, %s, LITTLE_ENDIAN).convertShape(B2I, I, 0);"
                            .formatted(name, at));
            };
        }
    }

    private final Element element;
    private final StringBuilder out = new StringBuilder();
    private int indent;

    private DirectKernels(Element element) {
        this.element = element;
    }

    public static void main(String[] arguments) throws IOException {
        Path directory = Path.of(arguments[0]).resolve(PACKAGE.replace('.', '/'));
        Files.createDirectories(directory);
        for (Element element : Element.values()) {
            String source = new DirectKernels(element).source();
            Path file = directory.resolve(element.className() + ".java");
            // A file that stays as it was is not compiled again.
            if (!Files.exists(file) || !Files.readString(file).equals(source)) {
                Files.writeString(file, source);
            }
        }
    }

    private String source() {
        line("package %s;", PACKAGE);
        line("");
        imports();
        line("/** The products of attention of {@link DirectProducts} for %s. Written by DirectKernels.java. */", element.text);
        open("final class %s {", element.className());
        if (element == Element.INT4) {
            line("/** What queries of odd dimensions come multiplied with: the upper half of a byte is masked where it stands. */");
            line("static final float ODD = 0x1p-4f;");
            line("");
        }
        line("private %s() {}", element.className());
        keys();
        values();
        close();
        return out.toString();
    }

    private void imports() {
        List<String> statics = new ArrayList<>(List.of("java.nio.ByteOrder.LITTLE_ENDIAN"));
        List<String> types = new ArrayList<>(List.of("java.lang.foreign.MemorySegment"));
        switch (element) {
            case F32 -> {}
            case F16, BF16 -> {
                statics.add("jdk.incubator.vector.VectorOperators.LSHL");
                statics.add("jdk.incubator.vector.VectorOperators.S2I");
            }
            case INT8 -> statics.add("jdk.incubator.vector.VectorOperators.B2F");
            case INT4 -> {
                statics.add("jdk.incubator.vector.VectorOperators.B2I");
                statics.add("jdk.incubator.vector.VectorOperators.I2F");
            }
        }
        statics.add(PACKAGE + ".Attention.BLOCK");
        if (element.coded()) {
            statics.add(PACKAGE + ".CodeLayout.SLOTS");
            statics.add(PACKAGE + ".CodedProducts.WEIGHTS");
            statics.add(PACKAGE + ".Simd.B");
            types.add("jdk.incubator.vector.ByteVector");
        }
        statics.add(PACKAGE + ".Simd.F");
        types.add("jdk.incubator.vector.FloatVector");
        if (element != Element.F32 && element != Element.INT8) {
            statics.add(PACKAGE + ".Simd.I");
            types.add("jdk.incubator.vector.IntVector");
        }
        statics.add(PACKAGE + ".Simd.L");
        statics.add(PACKAGE + ".Simd.PANEL");
        if (element == Element.F16 || element == Element.BF16) {
            statics.add(PACKAGE + ".Simd.S");
            types.add("jdk.incubator.vector.ShortVector");
        }
        statics.forEach(name -> line("import static %s;", name));
        line("");
        types.forEach(name -> line("import %s;", name));
        line("");
    }

    // Keys: lanes are slots. Stream A is a panel of slots from byte xo, B another from byte yo.

    private void keys() {
        String coded = element.coded() ? ", int scale, int sum, int s" : ", int start, int s";
        String head = "float[] m, int q, MemorySegment x, long xo";
        line("");
        line("/**");
        if (element.coded()) {
            line(" * {@code s[row][slot] += scale[slot] * (sum over d of q[d][row] * code[d][slot]) + offset[slot] * sum[row]} for a");
            line(" * panel of slots and a group of dimensions.");
        } else {
            line(" * {@code s[row][slot] = start[row] + sum over d of q[d][row] * x[d][slot]} for a panel of slots.");
        }
        line(" *");
        line(" * @param rows 1, 2 or 4");
        line(" * @param m scratch that holds everything but the keys, at offsets");
        line(" * @param q queries {@code [depth][rows]}");
        line(" * @param x keys from byte {@code xo}");
        if (element.coded()) {
            line(" * @param scale scales of the panel; its offsets are {@link CodeLayout#SLOTS} floats further");
            line(" * @param sum sums of the rows' queries in the group, {@code [rows]}");
        } else {
            line(" * @param start what products start at, {@code [rows]}");
        }
        line(" * @param s products, rows {@link Attention#BLOCK} apart");
        line(" */");
        dispatch("keys", head + ", int depth" + coded);
        String two = element.coded()
                ? ", long yo, int depth, int scale, int scaleB, int sum, int s, int t"
                : ", long yo, int depth, int start, int s, int t";
        line("");
        line("/** As {@link #keys} for two panels: the second from byte {@code yo}, with products {@code t}. */");
        dispatch("twoKeys", head + two);
        for (int rows : new int[] {1, 2, 4}) {
            keys(rows, false, "private static void keys%d(%s) {".formatted(rows, head + ", int depth" + coded));
            keys(rows, true, "private static void twoKeys%d(%s) {".formatted(rows, head + two));
        }
    }

    /** The method that chooses by rows. */
    private void dispatch(String name, String parameters) {
        List<String> names = new ArrayList<>();
        for (String parameter : parameters.split(", ")) {
            names.add(parameter.substring(parameter.lastIndexOf(' ') + 1));
        }
        String call = String.join(", ", names);
        open("static void %s(int rows, %s) {", name, parameters);
        open("switch (rows) {");
        line("case 1 -> %s1(%s);", name, call);
        line("case 2 -> %s2(%s);", name, call);
        line("default -> %s4(%s);", name, call);
        close();
        close();
    }

    private void keys(int rows, boolean two, String signature) {
        int vectors = two ? 4 : 2;
        line("");
        open(signature);
        for (int r = 0; r < rows; r++) {
            for (int k = 0; k < vectors; k++) {
                String from = element.coded()
                        ? "FloatVector.zero(F)"
                        : k == 0 ? "FloatVector.broadcast(F, m[start + %d])".formatted(r) : "a%d0".formatted(r);
                line("FloatVector a%d%d = %s;", r, k, from);
            }
        }
        element.constants().forEach(this::line);
        boolean half = element == Element.INT4;
        open("for (int d = 0; d < depth; d += %d) {", half ? 2 : 1);
        String step = half ? "d * L" : element == Element.INT8 ? "d * PANEL" : "d * (%d * PANEL)".formatted(element.bytes);
        line("long b = xo + (long) %s;", step);
        load("x0", "b");
        load("x1", "b + " + element.bytes + "L * L");
        if (two) {
            line("long c = yo + (long) %s;", step);
            load("x2", "c");
            load("x3", "c + " + element.bytes + "L * L");
        }
        line("FloatVector v;");
        for (int part = 0; part < (half ? 2 : 1); part++) {
            if (half) {
                for (int k = 0; k < vectors; k++) {
                    line("FloatVector %s%d = (FloatVector) bx%d.and(%s).convert(I2F, 0);", part == 0 ? "x" : "y", k, k, part == 0 ? "0xf" : "0xf0");
                }
            }
            for (int r = 0; r < rows; r++) {
                int at = part * rows + r;
                line("v = FloatVector.broadcast(F, m[q + d * %d + %d]);", rows, at);
                for (int k = 0; k < vectors; k++) {
                    line("a%d%d = %s%d.fma(v, a%d%d);", r, k, part == 0 ? "x" : "y", k, r, k);
                }
            }
        }
        close();
        if (element.coded()) {
            for (int k = 0; k < vectors; k++) {
                String scale = k < 2 ? "scale" : "scaleB";
                line("FloatVector f%d = FloatVector.fromArray(F, m, %s + %d * L);", k, scale, k % 2);
                line("FloatVector o%d = FloatVector.fromArray(F, m, %s + SLOTS + %d * L);", k, scale, k % 2);
            }
            line("FloatVector v;");
        }
        for (int r = 0; r < rows; r++) {
            if (element.coded()) {
                line("v = FloatVector.broadcast(F, m[sum + %d]);", r);
            }
            for (int k = 0; k < vectors; k++) {
                String at = "%s + %d * BLOCK + %d * L".formatted(k < 2 ? "s" : "t", r, k % 2);
                String result = element.coded()
                        ? "a%d%d.fma(f%d, o%d.fma(v, FloatVector.fromArray(F, m, %s)))".formatted(r, k, k, k, at)
                        : "a%d%d".formatted(r, k);
                line("%s.intoArray(m, %s);", result, at);
            }
        }
        close();
    }

    // Values: lanes are dimensions. Stream A is slots from byte xo, B as many others from byte yo; two panels of dimensions at once.

    private void values() {
        String ldx = element.coded() ? "" : ", int ldx";
        String single = "float[] m, int p, MemorySegment x, long xo" + ldx + ", int count, int o, int ldo";
        String two = "float[] m, int p, int pB, MemorySegment x, long xo, long yo" + ldx + ", int count, int o, int ldo";
        line("");
        line("/**");
        if (element.coded()) {
            line(" * {@code o[row][i] += sum over slots of p[row][slot] * code[slot][i] + start[row]} for a panel of dimensions.");
        } else {
            line(" * {@code o[row][i] += sum over slots of p[row][slot] * x[slot][i]} for a panel of dimensions.");
        }
        line(" *");
        line(" * @param rows 1, 2 or 4");
        line(" * @param m scratch that holds everything but the values, at offsets");
        if (element.coded()) {
            line(" * @param p probabilities times scales, rows {@link CodedProducts#WEIGHTS} apart, each followed by what the row starts at, the");
            line(" *     sum of probabilities times offsets");
        } else {
            line(" * @param p probabilities, rows {@link Attention#BLOCK} apart");
        }
        line(" * @param x values from byte {@code xo}%s", element.coded() ? "" : ", slots {@code ldx} bytes apart");
        line(" * @param count slots");
        line(" * @param o sums of values, rows {@code ldo} apart");
        line(" */");
        dispatch("values", single);
        line("");
        line("/**");
        line(" * As {@link #values} for two panels of dimensions, which follow each other, and for two times {@code count} slots: the others");
        line(" * from byte {@code yo}, with probabilities {@code pB}.");
        line(" */");
        dispatch("twoValues", two);
        for (int rows : new int[] {1, 2, 4}) {
            values(rows, false, "private static void values%d(%s) {".formatted(rows, single));
            values(rows, true, "private static void twoValues%d(%s) {".formatted(rows, two));
        }
    }

    private void values(int rows, boolean two, String signature) {
        int vectors = two ? 4 : 2;
        boolean half = element == Element.INT4;
        String stride = element.coded() ? "WEIGHTS" : "BLOCK";
        line("");
        open(signature);
        for (int r = 0; r < rows; r++) {
            String sum = "";
            if (element.coded()) {
                line("float start%d = m[p + SLOTS + %d * WEIGHTS]%s;", r, r, two ? " + m[pB + SLOTS + %d * WEIGHTS]".formatted(r) : "");
                sum = ".add(start%d)".formatted(r);
            }
            for (int k = 0; k < vectors; k++) {
                line(
                        "FloatVector a%d%d = FloatVector.fromArray(F, m, o + %d * ldo + %d * L)%s%s;",
                        r, k, r, k, sum, half && k % 2 == 1 ? ".mul(16f)" : "");
            }
        }
        element.constants().forEach(this::line);
        open("for (int j = 0; j < count; j++) {");
        line("FloatVector v;");
        for (int stream = 0; stream < (two ? 2 : 1); stream++) {
            String base = stream == 0 ? "b" : "c";
            String step = half ? "L" : element == Element.INT8 ? "PANEL" : "ldx";
            line("long %s = %s + (long) j * %s;", base, stream == 0 ? "xo" : "yo", step);
            for (int panel = 0; panel < vectors / 2; panel++) {
                String at = base
                        + (panel == 0
                                ? ""
                                : half
                                        ? " + (long) SLOTS * L"
                                        : element == Element.INT8 ? " + (long) SLOTS * PANEL" : " + %dL * PANEL".formatted(element.bytes));
                String x = "x" + stream;
                if (half) {
                    load(x + panel, at);
                    line("FloatVector %s%d = (FloatVector) b%s%d.and(0xf).convert(I2F, 0);", x, 2 * panel, x, panel);
                    line("FloatVector %s%d = (FloatVector) b%s%d.and(0xf0).convert(I2F, 0);", x, 2 * panel + 1, x, panel);
                } else {
                    load(x + 2 * panel, at);
                    load(x + (2 * panel + 1), at + " + " + element.bytes + "L * L");
                }
            }
            for (int r = 0; r < rows; r++) {
                line("v = FloatVector.broadcast(F, m[%s + j + %d * %s]);", stream == 0 ? "p" : "pB", r, stride);
                for (int k = 0; k < vectors; k++) {
                    line("a%d%d = x%d%d.fma(v, a%d%d);", r, k, stream, k, r, k);
                }
            }
        }
        close();
        for (int r = 0; r < rows; r++) {
            for (int k = 0; k < vectors; k++) {
                line("a%d%d%s.intoArray(m, o + %d * ldo + %d * L);", r, k, half && k % 2 == 1 ? ".mul(ODD)" : "", r, k);
            }
        }
        close();
    }

    private void load(String name, String at) {
        element.load(name, at).forEach(this::line);
    }

    private void line(String format, Object... arguments) {
        String text = format.formatted(arguments);
        out.append(text.isEmpty() ? "" : "    ".repeat(indent)).append(text).append('\n');
    }

    private void open(String format, Object... arguments) {
        line(format, arguments);
        indent++;
    }

    private void close() {
        indent--;
        line("}");
    }
}

package org.duoattention.core.head;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/** Tab-separated numbers, one line per layer and one column per KV head, as {@code numpy.savetxt} writes them. */
final class HeadTable {
    private static final long MAX_BYTES = 16L << 20;
    private static final Pattern NUMBER =
            Pattern.compile("[+-]?(\\d{1,40}(\\.\\d{0,40})?|\\.\\d{1,40})([eE][+-]?\\d{1,5})?");

    private HeadTable() {}

    /**
     * The finite numbers in a file, all rows of one length.
     *
     * @throws DuoException when the file is missing, empty, ragged, or holds anything but finite numbers
     */
    static double[][] read(Path file) {
        if (!Files.isRegularFile(file)) {
            throw new DuoException(file + ": no such file; expected a table of layers x KV heads");
        }
        String text;
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw new DuoException(
                        file + ": has " + Files.size(file) + " bytes, a table of heads has at most " + MAX_BYTES);
            }
            // Latin-1 decodes every byte; what is not a number is refused below with its line and column.
            text = Files.readString(file, StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            throw new DuoException(file + ": cannot be read: " + Quoted.of(String.valueOf(e.getMessage())), e);
        }
        List<double[]> rows = new ArrayList<>();
        int lineNumber = 0;
        for (String line : (Iterable<String>) text.lines()::iterator) {
            lineNumber++;
            if (line.isBlank()) {
                continue;
            }
            double[] row = parse(file, lineNumber, line);
            if (!rows.isEmpty() && row.length != rows.get(0).length) {
                throw new DuoException(
                        file + ": line " + lineNumber + " has " + row.length + " columns, the first row has "
                                + rows.get(0).length + "; expected one column per KV head in every row");
            }
            rows.add(row);
        }
        if (rows.isEmpty()) {
            throw new DuoException(file + ": is empty; expected one line per layer with one number per KV head");
        }
        return rows.toArray(double[][]::new);
    }

    private static double[] parse(Path file, int lineNumber, String line) {
        String[] cells = line.strip().split("\t", -1);
        double[] row = new double[cells.length];
        for (int i = 0; i < cells.length; i++) {
            String cell = cells[i].strip();
            row[i] = NUMBER.matcher(cell).matches() ? Double.parseDouble(cell) : Double.NaN;
            if (!Double.isFinite(row[i])) {
                throw new DuoException(file + ": line " + lineNumber + ", column " + (i + 1) + " is '" + Quoted.of(cell)
                        + "', expected a finite number");
            }
        }
        return row;
    }

    /** The rows as text; every number survives being read back. */
    static String format(double[][] rows) {
        StringBuilder text = new StringBuilder();
        for (double[] row : rows) {
            for (int i = 0; i < row.length; i++) {
                text.append(i == 0 ? "" : "\t").append(String.format(Locale.ROOT, "%.18e", row[i]));
            }
            text.append('\n');
        }
        return text.toString();
    }

    /** Refuses a table that does not fit the model, with both shapes. */
    static void checkShape(Path file, int layers, int kvHeads, ModelShape shape) {
        if (layers != shape.layers() || kvHeads != shape.kvHeads()) {
            throw new DuoException(
                    file + ": holds " + layers + " layers x " + kvHeads + " KV heads, the model has " + shape.layers()
                            + " layers x " + shape.kvHeads() + " KV heads; choose the file made for this model");
        }
    }
}

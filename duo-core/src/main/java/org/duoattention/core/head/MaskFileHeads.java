package org.duoattention.core.head;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.head.HeadMaskSource;
import org.duoattention.api.model.HeadSet;
import org.duoattention.core.DuoException;

/**
 * {@code mask}: exactly the heads that a table marks. Option: {@code file}, tab-separated, one line per layer and one
 * column per KV head; 1 is a retrieval head, 0 a streaming head.
 */
public final class MaskFileHeads implements HeadMaskSource {
    private static final String FILE = "file";

    @Override
    public String name() {
        return "mask";
    }

    @Override
    public HeadMask headMask(HeadMaskRequest request) {
        Path file = new SourceOptions(name(), request.options(), Set.of(FILE))
                .path(FILE, "a table of 0 and 1, layers x KV heads");
        try {
            return read(file, request);
        } catch (DuoException e) {
            // What the contract of mask sources asks for.
            throw new IllegalArgumentException(e.getMessage(), e);
        }
    }

    private static HeadMask read(Path file, HeadMaskRequest request) {
        double[][] rows = HeadTable.read(file);
        HeadTable.checkShape(file, rows.length, rows[0].length, request.shape());
        List<HeadSet> sets = new ArrayList<>();
        for (int layer = 0; layer < rows.length; layer++) {
            double[] row = rows[layer];
            for (int head = 0; head < row.length; head++) {
                if (row[head] != 0 && row[head] != 1) {
                    throw new DuoException(file + ": layer " + layer + ", KV head " + head + " is " + row[head]
                            + ", expected 0 or 1; for scores use the head source 'pattern'");
                }
            }
            sets.add(HeadSet.of(IntStream.range(0, row.length)
                    .filter(head -> row[head] == 1)
                    .toArray()));
        }
        return HeadMask.of(rows[0].length, sets);
    }
}

package org.duoattention.examples.cli;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.duoattention.core.DuoException;

/** Token ids as the user writes them. */
final class TokenIds {
    private TokenIds() {}

    /**
     * Reads ids separated by commas, with or without spaces.
     *
     * @throws DuoException naming the first thing that is not a whole number of at most 31 bits
     */
    static int[] parse(String list) {
        if (list.isBlank()) {
            throw new DuoException("--ids is empty; give at least one token id");
        }
        String[] parts = list.split(",", -1);
        int[] ids = new int[parts.length];
        for (int i = 0; i < parts.length; i++) {
            try {
                ids[i] = Integer.parseInt(parts[i].strip());
            } catch (NumberFormatException e) {
                throw new DuoException(
                        "--ids has '" + parts[i] + "' at index " + i
                                + "; token ids are whole numbers separated by commas",
                        e);
            }
        }
        return ids;
    }

    /** The ids separated by commas, as {@code --ids} reads them. */
    static String format(int[] ids) {
        return Arrays.stream(ids).mapToObj(String::valueOf).collect(Collectors.joining(","));
    }
}

package org.duoattention.core.load.gguf;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * What the files of one model hold together: the metadata of the first, the tensors of all, under the names of the format.
 *
 * @param name the model's name, from the file name
 * @param file the first file, for messages
 * @param metadata metadata
 * @param tensors tensors by name
 */
record GgufContent(String name, Path file, GgufMetadata metadata, Map<String, StoredGgufTensor> tensors) {
    private static final int MAX_PARTS = 99_999;
    private static final String COUNT = "split.count";
    private static final String NUMBER = "split.no";
    private static final String TENSORS = "split.tensors.count";

    /**
     * Maps all files and checks that they belong together.
     *
     * @param arena owns the mappings
     */
    static GgufContent map(GgufParts parts, Arena arena) {
        Map<String, StoredGgufTensor> tensors = new LinkedHashMap<>();
        GgufFile first = GgufFile.map(parts.files().get(0), arena);
        checkPart(first.header().metadata(), 0, parts);
        addTensors(first, tensors);
        for (int i = 1; i < parts.files().size(); i++) {
            GgufFile file = GgufFile.map(parts.files().get(i), arena);
            checkPart(file.header().metadata(), i, parts);
            addTensors(file, tensors);
        }
        GgufMetadata metadata = first.header().metadata();
        metadata.integer(TENSORS, 0, Integer.MAX_VALUE).ifPresent(count -> {
            if (count != tensors.size()) {
                throw metadata.problem(TENSORS, String.valueOf(count), tensors.size() + ", which the parts hold");
            }
        });
        return new GgufContent(parts.name(), first.path(), metadata, tensors);
    }

    private static void checkPart(GgufMetadata metadata, int index, GgufParts parts) {
        int files = parts.files().size();
        long count = metadata.integer(COUNT, 0, MAX_PARTS).orElse(0);
        if (Math.max(1, count) != files) {
            throw new DuoException(metadata.file() + ": is one of " + Math.max(1, count)
                    + " parts by its metadata and one of " + files
                    + " by its name; give the parts their original names (name-00001-of-0000N.gguf)");
        }
        if (count > 0 && metadata.integer(NUMBER, 0, MAX_PARTS).orElse(0) != index) {
            throw new DuoException(metadata.file() + ": is part "
                    + (metadata.integer(NUMBER, 0, MAX_PARTS).orElse(0) + 1) + " by its metadata and part "
                    + (index + 1) + " by its name; give the parts their original names");
        }
    }

    private static void addTensors(GgufFile file, Map<String, StoredGgufTensor> tensors) {
        file.header().tensors().forEach((name, info) -> {
            StoredGgufTensor other =
                    tensors.putIfAbsent(name, new StoredGgufTensor(file.path(), info, file.bytes(info)));
            if (other != null) {
                throw new DuoException(file.path() + ": tensor " + Quoted.of(name) + " also lies in " + other.file()
                        + "; the parts belong to different models");
            }
        });
    }
}

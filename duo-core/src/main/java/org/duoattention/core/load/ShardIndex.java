package org.duoattention.core.load;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonFile;
import org.duoattention.core.json.JsonObject;
import org.duoattention.core.json.Quoted;

/** The index of a checkpoint in several files: which tensor lies in which shard. */
final class ShardIndex {
    /** The index's name in a checkpoint directory. */
    static final String FILE_NAME = "model.safetensors.index.json";

    private static final String WEIGHT_MAP = "weight_map";
    /** What file systems allow. */
    private static final int MAX_NAME_CHARS = 255;

    private final Path file;
    private final Map<String, String> shards;

    private ShardIndex(Path file, Map<String, String> shards) {
        this.file = file;
        this.shards = shards;
    }

    /** Reads an index; shard names must be plain file names, so that an index cannot point outside its directory. */
    static ShardIndex read(Path file) {
        JsonObject map = JsonFile.read(file)
                .object(WEIGHT_MAP)
                .orElseThrow(() -> new DuoException(
                        file + ": " + WEIGHT_MAP + " is missing; expected an object from tensor names to shards"));
        Map<String, String> shards = new TreeMap<>();
        for (String tensor : map.keys()) {
            String shard = map.string(tensor).orElse("");
            if (!isPlainName(shard)) {
                throw map.problem(tensor, "the name of a .safetensors file in the same directory");
            }
            shards.put(tensor, shard);
        }
        if (shards.isEmpty()) {
            throw new DuoException(file + ": " + WEIGHT_MAP + " lists no tensors; download it again");
        }
        return new ShardIndex(file, shards);
    }

    private static boolean isPlainName(String shard) {
        return shard.length() <= MAX_NAME_CHARS
                && shard.endsWith(".safetensors")
                && shard.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || Character.isISOControl(c));
    }

    /** Maps all shards and checks that every tensor lies where the index says, and nowhere else. */
    Map<String, StoredTensor> map(Arena arena) {
        Map<String, StoredTensor> tensors = new LinkedHashMap<>();
        for (String shard : new TreeSet<>(shards.values())) {
            Path path = file.resolveSibling(shard);
            SafetensorsFile.map(path, arena).forEach((name, tensor) -> {
                StoredTensor other = tensors.putIfAbsent(name, tensor);
                if (other != null) {
                    throw new DuoException(path + ": tensor " + Quoted.of(name) + " also lies in " + other.file()
                            + "; the shards belong to different checkpoints");
                }
            });
        }
        shards.forEach((name, shard) -> {
            StoredTensor tensor = tensors.get(name);
            if (tensor == null || !tensor.file().equals(file.resolveSibling(shard))) {
                throw new DuoException(file + ": says that tensor " + Quoted.of(name) + " lies in " + Quoted.of(shard)
                        + ", but it does not; index and shards belong to different checkpoints");
            }
        });
        return tensors;
    }
}

package org.duoattention.core.load.gguf;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * A tensor in a mapped file.
 *
 * @param file where it lies, for messages
 * @param info what the file says of it
 * @param data its bytes
 */
record StoredGgufTensor(Path file, GgufTensorInfo info, MemorySegment data) {}

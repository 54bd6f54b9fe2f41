package org.duoattention.core.load;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * A tensor in a mapped file.
 *
 * @param file where it lies, for messages
 * @param header what the file says of it
 * @param data its bytes
 */
record StoredTensor(Path file, TensorHeader header, MemorySegment data) {}

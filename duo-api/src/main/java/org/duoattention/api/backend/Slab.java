package org.duoattention.api.backend;

/**
 * The key/value cache of one {@link SlabSpec} on a device. Opaque; layout, paging, rings and scales are the backend's.
 *
 * <p>The counters below are kept on the host in step with the calls made on the stream, and are read without waiting for
 * the device. Owned by whoever allocated it; the device closes what is left.
 */
public interface Slab extends AutoCloseable {
    /** What the slab was allocated for. */
    SlabSpec spec();

    /** Tokens seen so far: the next token's absolute position. Includes tokens that were evicted. */
    long length();

    /**
     * The smallest length to which {@link ComputeStream#truncate} can go back exactly: 0 for a slab that retains all; for
     * sinks and recent tokens at most {@code max(0, n - spec().undo())}, where {@code n} is the longest that the slab has
     * been; up to {@code length()} for retentions that are compacted or scored.
     */
    long minLength();

    /**
     * Device bytes that the slab takes when it is full, scales and bookkeeping included; equal to {@link
     * Device#bytes(SlabSpec)}.
     */
    long bytes();

    /** Releases the memory; no effect the second time. Work already queued is finished first. */
    @Override
    void close();
}

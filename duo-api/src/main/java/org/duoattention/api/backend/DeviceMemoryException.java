package org.duoattention.api.backend;

/** Thrown instead of allocating when a device has not enough memory. Nothing was allocated. */
public final class DeviceMemoryException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final long requestedBytes;
    private final long availableBytes;

    /** Says what was asked for, and what there is. */
    public DeviceMemoryException(String what, long requestedBytes, long availableBytes) {
        super(what + " needs " + requestedBytes + " bytes, " + availableBytes + " are available");
        this.requestedBytes = requestedBytes;
        this.availableBytes = availableBytes;
    }

    /** Bytes that were asked for. */
    public long requestedBytes() {
        return requestedBytes;
    }

    /** Bytes that were available. */
    public long availableBytes() {
        return availableBytes;
    }
}

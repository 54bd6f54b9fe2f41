package org.duoattention.api.backend;

/** Thrown when an operation needs a capability that the device does not list. */
public final class UnsupportedCapabilityException extends UnsupportedOperationException {
    private static final long serialVersionUID = 1L;

    private final String backendId;
    private final Capability capability;

    /** Names the backend and what it lacks. */
    public UnsupportedCapabilityException(String backendId, Capability capability) {
        super("backend " + backendId + " does not support " + capability.label());
        this.backendId = backendId;
        this.capability = capability;
    }

    /** The backend's id. */
    public String backendId() {
        return backendId;
    }

    /** What the backend lacks. */
    public Capability capability() {
        return capability;
    }
}

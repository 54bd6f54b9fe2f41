package org.duoattention.api.tensor;

/** A weight in memory that the host can read: dense, or quantised in groups. */
public sealed interface HostWeight permits HostTensor, QuantizedMatrix {}

/** Attention backends: devices, ordered streams of operations, and opaque tensors and slabs. */
package org.duoattention.api.backend;

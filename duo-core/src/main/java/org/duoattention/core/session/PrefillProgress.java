package org.duoattention.core.session;

/**
 * How far a prefill has come; reported after every chunk.
 *
 * @param done tokens fed so far
 * @param total tokens of this prefill
 */
public record PrefillProgress(long done, long total) {}

package org.duoattention.identify.distill;

import java.util.Locale;

/**
 * Whose full attention a gate blends with the student's streaming attention. Either is a constant for the gradient: nothing
 * is differentiated through full attention.
 */
public enum BlendRule {
    /** That of the teacher, which runs on its own states with full attention everywhere, as the authors' code has it. */
    UPSTREAM,

    /** That of the student's own queries, keys and values, as the paper's formula reads (arXiv 2410.10819, section 2.2). */
    PAPER;

    /** The name in options and files: lower case. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}

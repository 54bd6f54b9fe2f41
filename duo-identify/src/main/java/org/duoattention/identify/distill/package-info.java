/** One step of head identification: a teacher, a student, their distance and its gradient by the gates. */
@NullMarked
package org.duoattention.identify.distill;

import org.jspecify.annotations.NullMarked;

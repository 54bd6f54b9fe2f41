/** Evaluation tasks: prompts with a known answer, and the rules by which answers are scored. */
@NullMarked
package org.duoattention.identify.task;

import org.jspecify.annotations.NullMarked;

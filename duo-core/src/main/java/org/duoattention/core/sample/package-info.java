/** Choosing the next token from logits. */
@NullMarked
package org.duoattention.core.sample;

import org.jspecify.annotations.NullMarked;

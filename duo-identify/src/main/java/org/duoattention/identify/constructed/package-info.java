/** A checkpoint whose weights are written by rule, so that its retrieval heads are known exactly. */
@NullMarked
package org.duoattention.identify.constructed;

import org.jspecify.annotations.NullMarked;

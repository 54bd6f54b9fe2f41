/** Ways to find out which heads are retrieval heads, side by side. */
@NullMarked
package org.duoattention.identify.score;

import org.jspecify.annotations.NullMarked;

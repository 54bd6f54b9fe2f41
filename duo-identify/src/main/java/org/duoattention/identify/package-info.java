/** Finding retrieval heads. */
@NullMarked
package org.duoattention.identify;

import org.jspecify.annotations.NullMarked;

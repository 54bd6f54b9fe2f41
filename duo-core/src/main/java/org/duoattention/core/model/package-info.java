/** Model configuration, weights, and the one forward pass. */
@NullMarked
package org.duoattention.core.model;

import org.jspecify.annotations.NullMarked;

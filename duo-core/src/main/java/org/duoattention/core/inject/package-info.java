/** Guice wiring of the parts; optional for users of the library. */
@NullMarked
package org.duoattention.core.inject;

import org.jspecify.annotations.NullMarked;

/** Which slot of a slab holds which token, and where its bytes lie: arithmetic on the host, without the data. */
@NullMarked
package org.duoattention.backend.cuda.slab;

import org.jspecify.annotations.NullMarked;

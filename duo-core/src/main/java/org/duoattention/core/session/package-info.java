/** Models and sessions: what an application uses. */
@NullMarked
package org.duoattention.core.session;

import org.jspecify.annotations.NullMarked;

/** What every part of core shares, such as the exception for errors a user can fix. */
@NullMarked
package org.duoattention.core;

import org.jspecify.annotations.NullMarked;

/** What a model consists of, whatever the layout of its files. */
@NullMarked
package org.duoattention.core.source;

import org.jspecify.annotations.NullMarked;

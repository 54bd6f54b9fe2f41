/** The library in five lines. */
@NullMarked
package org.duoattention.examples.quickstart;

import org.jspecify.annotations.NullMarked;

/** The {@code duo} command line. */
@NullMarked
package org.duoattention.examples.cli;

import org.jspecify.annotations.NullMarked;

/** Other engines to measure against, each in a process of its own; none is a dependency. */
@NullMarked
package org.duoattention.examples.cli.peer;

import org.jspecify.annotations.NullMarked;
